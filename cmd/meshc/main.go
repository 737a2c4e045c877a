// Command meshc compiles mesh configuration that lives in Git to sealed bundles of stock Envoy configuration.
//
// main is only the process around run: arguments and streams in, exit code out. Each verb is a constructor in a file of
// its own that turns flags into options and prints results; the work is done in the packages below. Results go to
// standard output, everything else to standard error. Exit codes: 0 clean, 1 findings, 2 misuse or failure.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
