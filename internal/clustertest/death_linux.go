package clustertest

import (
	"os/exec"
	"syscall"
)

// dieWith has a program end when the test does, whatever ends that.
func dieWith(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
