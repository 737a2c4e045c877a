//go:build !linux

package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Fprintf(os.Stderr, "demo: it runs Envoys in network namespaces or on loopback ports of Linux, and this is %s: run it on a Linux machine or in a container\n", runtime.GOOS)
	os.Exit(1)
}
