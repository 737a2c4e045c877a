package build

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Observed is a cluster whose objects the compiler is told, as it reads them with --observed.
type Observed struct {
	Cluster string        // its name, where the mesh has several; else ""
	List    func() []byte // what it has; nil as long as nothing is known
}

// observe is what all clusters have; known is false as long as nothing is known of one of them.
func (s *Source) observe() (seen [][]byte, known bool) {
	for _, o := range s.o.Observed {
		list := o.List()
		if list == nil {
			return nil, false
		}
		seen = append(seen, list)
	}
	return seen, true
}

func equalLists(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// hand writes what the clusters have for the compiler, and returns the arguments that name it.
func (s *Source) hand(seen [][]byte) ([]string, error) {
	var args []string
	for i, list := range seen {
		file := filepath.Join(s.o.Folder, fmt.Sprintf(observedName, i))
		if err := os.WriteFile(file, list, 0o600); err != nil {
			return nil, err
		}
		if name := s.o.Observed[i].Cluster; name != "" {
			file = name + "=" + file
		}
		args = append(args, "--observed", file)
	}
	return args, nil
}
