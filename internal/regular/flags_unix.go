//go:build unix

package regular

import "syscall"

// nonblock opens without waiting for the other end of a pipe or for a modem's carrier, and makes no terminal that of the
// process.
const (
	nonblock = syscall.O_NONBLOCK | syscall.O_NOCTTY
	nofollow = syscall.O_NOFOLLOW
)
