package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/meshc/meshc/internal/regular"
)

// secretDir hands out SDS secrets from files. A proxy reaches those of its own identity and, by the names in its
// configuration, those of its own namespace; nothing else has a path:
//
//	DIR/NAMESPACE/SERVICE-ACCOUNT/tls.crt tls.key ca.crt       default, ROOTCA
//	DIR/NAMESPACE/kubernetes/NAME/tls.crt tls.key ca.crt       kubernetes://NAME, kubernetes://NAME-cacert
//	DIR/NAMESPACE/configmap/NAME/ca.crt                        configmap://NAME
//
// ca.crl beside ca.crt is a list of revoked certificates. Certificate and key have to fit each other; until they do, in
// the middle of a rotation, the old pair stays in use. A secret whose files are gone is handed out no more; proxies keep
// what they have of it.
type secretDir struct {
	root string

	mu   sync.Mutex
	last kept // by name and folder
}

var errNoSecret = errors.New("there are no files for the secret")

// secretFiles are the files of a secret.
func secretFiles() []string { return []string{"tls.crt", "tls.key", "ca.crt", "ca.crl"} }

// load implements secretSource.
func (d *secretDir) load(ref secretRef, name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key, stamp := name, ""
	for _, dir := range ref.folders() {
		key += " " + dir
		for _, f := range secretFiles() {
			if fi, err := os.Stat(filepath.Join(d.root, dir, f)); err == nil {
				stamp += fmt.Sprint(dir, f, sysID(fi), fi.Size(), fi.ModTime().UnixNano(), ";")
			}
		}
	}
	if stamp == "" {
		delete(d.last, key)
		return nil, errNoSecret
	}
	return d.last.get(key, stamp, func() ([]byte, error) { return d.read(ref, name) })
}

func (d *secretDir) read(ref secretRef, name string) (b []byte, err error) {
	root, err := os.OpenRoot(d.root) // links may not leave it
	if err != nil {
		return nil, errNoSecret
	}
	defer func() { _ = root.Close() }()
	for _, dir := range ref.folders() {
		data, err := readFolder(root, dir)
		if err != nil {
			return nil, err
		}
		if b, err = data.message(name, ref.ca); !errors.Is(err, errKeysMissing) {
			return b, err
		}
	}
	return nil, errNoSecret
}

// readFolder reads the files of a secret that are there.
func readFolder(root *os.Root, dir string) (secretData, error) {
	data := secretData{}
	for _, f := range secretFiles() {
		b, err := regular.ReadIn(root, filepath.Join(dir, f), maxSecret)
		switch {
		case errors.Is(err, regular.ErrNotRegular), errors.Is(err, regular.ErrTooLarge):
			return nil, err
		case err == nil:
			data[f] = b
		}
	}
	return data, nil
}
