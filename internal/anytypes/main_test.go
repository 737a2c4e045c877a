package main

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/meshc/meshc/compiler/bundle" // registers what the file names
)

// The file is what the modules have.
func TestFile(t *testing.T) {
	want, err := file()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../compiler/bundle/anytypes.go")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Error("compiler/bundle/anytypes.go is not what the modules in go.mod have: run make types")
	}
}

// What stock Envoy says it has can be read, all of it.
func TestStock(t *testing.T) {
	text, err := os.ReadFile("../../compiler/validate/extensions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		for _, name := range strings.Fields(line)[1:] {
			if _, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
