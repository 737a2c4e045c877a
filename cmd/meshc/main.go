// Command meshc compiles mesh configuration that lives in Git to sealed bundles of stock Envoy configuration.
//
// main is only the process around run: arguments and streams in, exit code out. Each verb is a constructor in a file of
// its own that turns flags into options and prints results; the work is done in the packages below. Results go to
// standard output, everything else to standard error. Exit codes: 0 clean, 1 findings, 2 misuse or failure.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills
	a := newApp(os.Stdin, os.Stdout, os.Stderr)
	a.overhear()
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// manyNotes is how many different notes of libraries are told apart.
const manyNotes = 1000

// overhear has what libraries write to standard error come by way of the app, as notes: they quote names of the input, and
// know nothing of --quiet. What was said before is not said again: a library that is asked once for each part of the input
// repeats itself. Panics of Go do not come this way.
func (a *app) overhear() {
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	os.Stderr = w
	log.SetOutput(w)
	log.SetFlags(0)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		said := map[string]bool{}
		for lines := bufio.NewReader(r); ; {
			line, err := lines.ReadString('\n')
			if line = strings.TrimSpace(line); line != "" && !said[line] && !a.silent.Load() {
				_, _ = fmt.Fprintln(a.stderr, line)
				if len(said) < manyNotes {
					said[line] = true
				}
			}
			if err != nil {
				_, _ = io.Copy(io.Discard, r)
				return
			}
		}
	}()
	a.hear = func() {
		_ = w.Close()
		<-heard
	}
}
