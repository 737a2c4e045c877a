package bootstrap

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/meshc/meshc/internal/regular"
)

// podInfoBytes bounds a file of the downward API: an API server takes no more of annotations.
const podInfoBytes = 1 << 20

// ReadPodInfo reads what a pod is told of itself by a volume of the downward API with the files labels and annotations.
// A file that is not there says nothing.
func ReadPodInfo(dir string) (labels, annotations map[string]string, err error) {
	if labels, err = readDownward(filepath.Join(dir, "labels")); err != nil {
		return nil, nil, err
	}
	annotations, err = readDownward(filepath.Join(dir, "annotations"))
	return labels, annotations, err
}

// readDownward reads lines of KEY="VALUE", the value quoted as Go does it.
func readDownward(file string) (map[string]string, error) {
	text, err := regular.ReadFile(file, podInfoBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	lines.Buffer(nil, podInfoBytes+1)
	for n := 1; lines.Scan(); n++ {
		if lines.Text() == "" {
			continue
		}
		key, quoted, ok := strings.Cut(lines.Text(), "=")
		value, err := strconv.Unquote(quoted)
		if !ok || err != nil {
			return nil, fmt.Errorf(`%s:%d: this is no line of the downward API, KEY="VALUE"`, file, n)
		}
		out[key] = value
	}
	return out, lines.Err()
}
