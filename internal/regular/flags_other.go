//go:build !unix

package regular

// Elsewhere a path does not lead to a pipe that another process has yet to open; asking before and after does.
const nonblock, nofollow = 0, 0
