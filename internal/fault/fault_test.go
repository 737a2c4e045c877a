package fault

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestCall(t *testing.T) {
	if err := Call(func() error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	inner := Guard(func() error { var m map[string]int; m["x"] = 1; return nil })()
	var f *Error
	if !errors.As(inner, &f) || !strings.Contains(string(f.Stack), "fault_test.go") || !strings.Contains(inner.Error(), "nil map") {
		t.Fatal(inner)
	}
	if outer := Call(func() error { panic(inner) }); !errors.Is(outer, inner) {
		t.Errorf("the first stack is lost: %v", outer)
	}
	if err := Call(func() error { panic(io.EOF) }); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
