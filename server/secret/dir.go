package secret

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

// Dir hands out SDS secrets from files. A proxy reaches those of its own identity and, by the names in its
// configuration, those of its own namespace; package credential says which those are.
//
// Certificate and key have to fit each other; until they do, in the middle of a rotation, the old pair stays in use. A
// secret whose files are gone is handed out no more; proxies keep what they have of it.
//
// Each secret is read by a goroutine of its own, first when a proxy that may have it asks for it, and then at each
// Refresh until none has for a while. So a file whose reading hangs keeps its own secret as it was, and nothing else.
type Dir struct {
	Options

	places chan struct{} // one for each read under way
	probe  watch.Monitor // of the directory itself

	mu      sync.Mutex
	files   map[dirKey]*files
	probing bool
}

// Folder is a directory that links do not leave.
type Folder interface {
	Stat(name string) (fs.FileInfo, error)
	ReadFile(name string, most int64) ([]byte, error)
	Close() error
}

type rootFolder struct{ *os.Root }

// ReadFile implements Folder.
func (r rootFolder) ReadFile(name string, most int64) ([]byte, error) {
	return regular.ReadIn(r.Root, name, most)
}

func OpenFolder(root string) (Folder, error) {
	r, err := os.OpenRoot(root)
	return rootFolder{r}, err
}

// dirKey is what a secret is made of: its SDS name, and the folders it is looked for in.
type dirKey struct{ name, folders string }

// files is a secret as it was read last. All but ref, name and monitor is guarded by the directory.
type files struct {
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

const beingRead = Waiting("the files of the secret are being read")

// fileNames are the files of a secret.
func fileNames() []string {
	return []string{credential.CertificateFile, credential.KeyFile, credential.RootsFile, credential.RevokedFile}
}

// Options says where a Dir reads, and how.
type Options struct {
	Root    string
	Open    func(root string) (Folder, error) // OpenFolder, but in tests
	Changed func()                            // called when a secret is another, or is known at last
	Idle    time.Duration                     // how long a secret is looked after that nobody needs
	Stall   time.Duration                     // see watch.Monitor
}

// NewDir makes ready to read. Nothing is read before somebody asks.
func NewDir(o Options) *Dir {
	return &Dir{Options: o, places: make(chan struct{}, limit.SecretReads), probe: watch.Monitor{Path: o.Root, StallAfter: o.Stall}, files: map[dirKey]*files{}}
}

// Load implements Source. It tells what is known, without reading.
func (d *Dir) Load(ref credential.Reference, name string) ([]byte, error) {
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
func (d *Dir) get(ref credential.Reference, name string) *files {
	key := dirKey{name, strings.Join(ref.Folders(), " ")}
	f := d.files[key]
	if f == nil {
		f = &files{ref: ref, name: name, monitor: watch.Monitor{Path: filepath.Join(d.Root, ref.Folders()[0]), StallAfter: d.Stall}}
		d.files[key] = f
		d.begin(f)
	}
	f.used = time.Now()
	return f
}

// Await waits until secrets are known that nobody has asked for yet, as long as reading files should take.
func (d *Dir) Await(end <-chan struct{}, wanted map[string]credential.Reference) {
	var news []*files
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
func (d *Dir) wait(end <-chan struct{}, list []*files) {
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

// Refresh reads all secrets again that are needed, and waits for those that take no longer than they should.
func (d *Dir) Refresh() {
	var begun []*files
	d.mu.Lock()
	if !d.probing {
		d.probing = true
		go d.look()
	}
	for key, f := range d.files {
		switch {
		case f.done != nil:
		case time.Since(f.used) > d.Idle:
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
func (d *Dir) look() {
	_ = d.probe.Do(func() error { // the monitor keeps the error
		root, err := d.Open(d.Root)
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
func (d *Dir) begin(f *files) {
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
			d.Changed()
		}
	}()
}

// read reads a secret if it is another than before. A version that cannot be read, or is no good, leaves the last good one
// in use; what is gone is not. Nothing is locked meanwhile.
func (d *Dir) read(f *files, before loaded) loaded {
	root, err := d.Open(d.Root)
	if err != nil {
		return before.after("", nil, err)
	}
	defer func() { _ = root.Close() }()
	stamp, err := stampOf(root, f.ref)
	switch {
	case err != nil:
		return before.after("", nil, err)
	case stamp == "":
		return loaded{err: errNoSecret}
	case stamp == before.stamp:
		return before
	}
	b, err := readFiles(root, f.ref, f.name)
	return before.after(stamp, b, err)
}

// Expiring implements Source.
func (d *Dir) Expiring() (list []Expiry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		if !f.expires.IsZero() {
			list = append(list, Expiry{f.monitor.Path, f.expires.UTC()})
		}
	}
	return soonest(list)
}

// stampOf changes when the files of a secret may have; "": there are none.
func stampOf(root Folder, ref credential.Reference) (stamp string, err error) {
	for _, dir := range ref.Folders() {
		for _, name := range fileNames() {
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

// readFiles makes a secret of the first of its folders that has the files for it.
func readFiles(root Folder, ref credential.Reference, name string) ([]byte, error) {
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
func readFolder(root Folder, dir string) (data, error) {
	data := data{}
	for _, name := range fileNames() {
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

// Status tells how the reading of the directory and of all its secrets goes.
func (d *Dir) Status() watch.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	parts := []watch.Status{d.probe.Status()}
	for _, f := range d.files {
		parts = append(parts, f.monitor.Status())
	}
	slices.SortFunc(parts[1:], func(a, b watch.Status) int { return strings.Compare(a.Path, b.Path) })
	return watch.Together("secrets", d.Root, parts)
}
