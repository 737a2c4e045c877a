package schema

import (
	"errors"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/internal/source"
)

// Validate shows every document to CUE and Decode decodes every one, whatever Check would save: single passes that a
// benchmark compares the compile with.

// Validate holds every document against its CUE definition; it fails at the first that is invalid.
func Validate(docs []*source.Document, opts Options) error {
	return straight(docs, opts, func() func(*source.Document) error {
		e := newEngine()
		return func(d *source.Document) error {
			if e.seen >= contextLife {
				e = newEngine()
			}
			return e.verdict("#"+d.Kind, ownPart(d))
		}
	})
}

// Decode decodes every document into the Go type of its kind.
func Decode(docs []*source.Document, opts Options) error {
	return straight(docs, opts, func() func(*source.Document) error {
		return func(d *source.Document) error {
			into := kinds.Find(d.Kind).New()
			if msg, ok := into.(proto.Message); ok {
				return decodeMessage(ownPart(d), msg)
			}
			return decodeObject(ownPart(d), into)
		}
	})
}

func straight(docs []*source.Document, opts Options, worker func() func(*source.Document) error) error {
	var g errgroup.Group
	for _, s := range shards(len(docs), opts.Workers) {
		g.Go(fault.Guard(func() error {
			do := worker()
			for _, d := range docs[s[0]:s[1]] {
				if c := source.Classify(d.APIVersion, d.Kind); c == source.Istio || c == source.Kubernetes {
					if err := do(d); err != nil {
						return errors.New(d.Ref().String() + ": " + err.Error())
					}
				}
			}
			return nil
		}))
	}
	return g.Wait()
}

// ownPart is what a definition speaks of: the spec of a kind of Istio, else the object.
func ownPart(d *source.Document) any {
	if source.Classify(d.APIVersion, d.Kind) != source.Istio {
		return tidy(d.Value)
	}
	if spec, ok := d.Value["spec"]; ok {
		return tidy(spec)
	}
	return map[string]any{}
}
