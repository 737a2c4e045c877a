package server

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/server/watch"
)

// secretDir hands out SDS secrets from files. A proxy reaches those of its own identity and, by the names in its
// configuration, those of its own namespace; package credential says which those are.
//
// Certificate and key have to fit each other; until they do, in the middle of a rotation, the old pair stays in use. A
// secret whose files are gone is handed out no more; proxies keep what they have of it.
//
// Each secret is read by a goroutine of its own, first when a proxy that may have it asks for it, and then at each
// refresh until none has for a while. So a file whose reading hangs keeps its own secret as it was, and nothing else.
type secretDir struct {
	root    string
	open    func(root string) (folder, error)
	changed func()        // called when a secret is another, or is known at last
	idle    time.Duration // how long a secret is looked after that nobody needs
	stall   time.Duration // see watch.Monitor

	places chan struct{} // one for each read under way
	probe  watch.Monitor // of the directory itself

	mu      sync.Mutex
	files   map[secretKey]*secretFiles
	probing bool
}

// folder is a directory that links do not leave.
type folder interface {
	Stat(name string) (fs.FileInfo, error)
	ReadFile(name string, most int64) ([]byte, error)
	Close() error
}

type rootFolder struct{ *os.Root }

// ReadFile implements folder.
func (r rootFolder) ReadFile(name string, most int64) ([]byte, error) {
	return regular.ReadIn(r.Root, name, most)
}

func openFolder(root string) (folder, error) {
	r, err := os.OpenRoot(root)
	return rootFolder{r}, err
}

// secretKey is what a secret is made of: its SDS name, and the folders it is looked for in.
type secretKey struct{ name, folders string }

// secretFiles is a secret as it was read last. All but ref, name and monitor is guarded by the directory.
type secretFiles struct {
	ref     credential.Reference
	name    string
	monitor watch.Monitor

	used   time.Time
	began  time.Time     // of the read under way, or of the last
	done   chan struct{} // closed when the read under way ends; nil: there is none
	missed bool          // somebody was told that it is not known yet
	known  bool          // it was read
	loaded
}

var errNoSecret = errors.New("there are no files for the secret")

const beingRead = waiting("the files of the secret are being read")

// secretFileNames are the files of a secret.
func secretFileNames() []string {
	return []string{credential.CertificateFile, credential.KeyFile, credential.RootsFile, credential.RevokedFile}
}

func newSecretDir(o *Options, changed func()) *secretDir {
	return &secretDir{root: o.SecretsDir, open: o.open.secrets, changed: changed, idle: max(time.Minute, 3*o.Poll), stall: o.open.stall,
		places: make(chan struct{}, limit.SecretReads), probe: watch.Monitor{Path: o.SecretsDir, StallAfter: o.open.stall}, files: map[secretKey]*secretFiles{}}
}

// load implements secretSource. It tells what is known, without reading.
func (d *secretDir) load(ref credential.Reference, name string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.get(ref, name)
	if !f.known {
		f.missed = true
		return nil, beingRead
	}
	return f.bytes, f.err
}

// get finds the files of a secret, and begins to read those that are new. Call with mu held.
func (d *secretDir) get(ref credential.Reference, name string) *secretFiles {
	key := secretKey{name, strings.Join(ref.Folders(), " ")}
	f := d.files[key]
	if f == nil {
		f = &secretFiles{ref: ref, name: name, monitor: watch.Monitor{Path: filepath.Join(d.root, ref.Folders()[0]), StallAfter: d.stall}}
		d.files[key] = f
		d.begin(f)
	}
	f.used = time.Now()
	return f
}

// await waits until secrets are known that nobody has asked for yet, as long as reading files should take.
func (d *secretDir) await(end <-chan struct{}, wanted map[string]credential.Reference) {
	var news []*secretFiles
	d.mu.Lock()
	for name, ref := range wanted {
		if f := d.get(ref, name); !f.known {
			news = append(news, f)
		}
	}
	d.mu.Unlock()
	d.wait(end, news)
}

// wait waits for reads under way, but for none that takes longer than it should.
func (d *secretDir) wait(end <-chan struct{}, list []*secretFiles) {
	for _, f := range list {
		d.mu.Lock()
		done, left := f.done, time.Until(f.began.Add(limit.SecretWait))
		d.mu.Unlock()
		if done == nil || left <= 0 {
			continue
		}
		t := time.NewTimer(left)
		select {
		case <-done:
		case <-end:
		case <-t.C:
		}
		t.Stop()
	}
}

// refresh reads all secrets again that are needed, and waits for those that take no longer than they should.
func (d *secretDir) refresh() {
	var begun []*secretFiles
	d.mu.Lock()
	if !d.probing {
		d.probing = true
		go d.look()
	}
	for key, f := range d.files {
		switch {
		case f.done != nil:
		case time.Since(f.used) > d.idle:
			delete(d.files, key)
		default:
			d.begin(f)
			begun = append(begun, f)
		}
	}
	d.mu.Unlock()
	d.wait(nil, begun)
}

// look finds whether the directory can be opened.
func (d *secretDir) look() {
	_ = d.probe.Do(func() error { // the monitor keeps the error
		root, err := d.open(d.root)
		if err == nil {
			err = root.Close()
		}
		return err
	})
	d.mu.Lock()
	d.probing = false
	d.mu.Unlock()
}

// begin has a goroutine read. Call with mu held, when nobody reads it already.
func (d *secretDir) begin(f *secretFiles) {
	before, began, done := f.loaded, time.Now(), make(chan struct{})
	f.began, f.done = began, done
	go func() {
		var now loaded
		_ = f.monitor.Do(func() error { // the monitor keeps the error
			d.places <- struct{}{}
			defer func() { <-d.places }()
			now = d.read(f, before)
			if errors.Is(now.err, errNoSecret) {
				return nil // nobody has put it there
			}
			return now.err
		})
		d.mu.Lock()
		another := !f.known || now.stamp == "" || now.stamp != before.stamp
		tell := another && (f.missed || time.Since(began) >= limit.SecretWait) // else whoever began it waits
		f.loaded, f.known, f.done, f.missed = now, true, nil, false
		d.mu.Unlock()
		close(done)
		if tell {
			d.changed()
		}
	}()
}

// read reads a secret if it is another than before. A version that cannot be read, or is no good, leaves the last good one
// in use; what is gone is not. Nothing is locked meanwhile.
func (d *secretDir) read(f *secretFiles, before loaded) loaded {
	root, err := d.open(d.root)
	if err != nil {
		return loaded{bytes: before.bytes, err: err}
	}
	defer func() { _ = root.Close() }()
	stamp, err := secretStamp(root, f.ref)
	switch {
	case err != nil:
		return loaded{bytes: before.bytes, err: err}
	case stamp == "":
		return loaded{err: errNoSecret}
	case stamp == before.stamp:
		return before
	}
	b, err := readSecretFiles(root, f.ref, f.name)
	if err != nil {
		b = before.bytes
	}
	return loaded{stamp: stamp, bytes: b, err: err}
}

// secretStamp changes when the files of a secret may have; "": there are none.
func secretStamp(root folder, ref credential.Reference) (stamp string, err error) {
	for _, dir := range ref.Folders() {
		for _, name := range secretFileNames() {
			fi, err := root.Stat(filepath.Join(dir, name))
			switch {
			case err == nil:
				stamp += dir + "/" + name + " " + watch.Stamp(fi) + ";"
			case !errors.Is(err, fs.ErrNotExist):
				return "", err
			}
		}
	}
	return stamp, nil
}

// readSecretFiles makes a secret of the first of its folders that has the files for it.
func readSecretFiles(root folder, ref credential.Reference, name string) ([]byte, error) {
	for _, dir := range ref.Folders() {
		data, err := readFolder(root, dir)
		if err != nil {
			return nil, err
		}
		if b, err := data.message(name, ref.CA); !errors.Is(err, errKeysMissing) {
			return b, err
		}
	}
	return nil, errNoSecret
}

// readFolder reads the files of a secret that are there.
func readFolder(root folder, dir string) (secretData, error) {
	data := secretData{}
	for _, name := range secretFileNames() {
		b, err := root.ReadFile(filepath.Join(dir, name), limit.SecretBytes)
		switch {
		case err == nil:
			data[name] = b
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return data, nil
}

// status tells how the reading of the directory and of all its secrets goes.
func (d *secretDir) status() watch.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	parts := []watch.Status{d.probe.Status()}
	for _, f := range d.files {
		parts = append(parts, f.monitor.Status())
	}
	slices.SortFunc(parts[1:], func(a, b watch.Status) int { return strings.Compare(a.Path, b.Path) })
	return watch.Together("secrets", d.root, parts)
}
