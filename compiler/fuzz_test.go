package compiler

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/watchdog"
)

// FuzzCompile bends one line of a large input that uses every field, and wants no panic, no error of the compiler's own,
// and for each finding a place: whatever stands in a repository is a finding at worst.
func FuzzCompile(f *testing.F) {
	files, err := filepath.Glob("testdata/fields/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no fields in testdata", err)
	}
	var texts [][]string
	for i, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		texts = append(texts, strings.Split(string(b), "\n"))
		f.Add(uint8(i), uint16(3), uint8(0), "x: [1]")
		f.Add(uint8(i), uint16(9), uint8(1), "")
		f.Add(uint8(i), uint16(12), uint8(2), "null")
	}
	f.Fuzz(func(t *testing.T, file uint8, at uint16, how uint8, text string) {
		defer watchdog.Watch(t)()
		lines := append([]string{}, texts[int(file)%len(texts)]...)
		i := int(at) % len(lines)
		indent := lines[i][:len(lines[i])-len(strings.TrimLeft(lines[i], " -"))]
		switch key, _, isKey := strings.Cut(lines[i], ":"); {
		case how%4 == 0:
			lines[i] = indent + text
		case how%4 == 1:
			lines[i] = ""
		case how%4 == 2 && isKey:
			lines[i] = key + ": " + text
		default:
			lines = append(lines[:i], append([]string{indent + text}, lines[i:]...)...)
		}
		input := strings.Join(lines, "\n")
		for _, lenient := range []bool{false, true} {
			res, findings, err := Compile(context.Background(), []string{"-"}, Options{Stdin: strings.NewReader(input), Lenient: lenient, Workers: 1})
			if err != nil {
				t.Fatal(err)
			}
			if findings.HasErrors() == (res.Bundle != nil) {
				t.Fatalf("a bundle: %v, with findings %v", res.Bundle != nil, findings)
			}
			for _, d := range findings {
				if d.Code == "" || d.Message == "" || d.Pos.File == "" || d.Pos.Line == 0 {
					t.Fatalf("a finding without code, message or place: %+v", d)
				}
			}
		}
	})
}
