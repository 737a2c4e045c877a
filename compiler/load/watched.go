package load

import (
	"context"
	"errors"
	"runtime/metrics"
	"time"

	"github.com/meshc/meshc/internal/fault"
)

// errMemory ends what takes more memory than it may.
var errMemory = errors.New("over its memory")

// watched runs what looks at no context, and leaves it behind when the run ends or when memory has grown by more than so
// many bytes: the process is about to end in both cases. It must not touch anything that its caller goes on with.
func watched(ctx context.Context, most uint64, run func() error) error {
	done := make(chan error, 1)
	before := heap()
	go func() { done <- fault.Call(run) }()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if heap() > before+most {
				return errMemory
			}
		}
	}
}

// heap is how many bytes objects take, those among them that are no longer used.
func heap() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
