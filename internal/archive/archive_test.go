package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/watchdog"
)

// pack makes an archive; files without a size have a few bytes.
func pack(t testing.TB, hs ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range hs {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		content := "a: 1\n"
		if h.Typeflag != tar.TypeReg {
			content = ""
		}
		if h.Size == 0 {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Close() // an error where a content is shorter than its head says
	return buf.Bytes()
}

func zip(data ...[]byte) []byte {
	var buf bytes.Buffer
	for _, d := range data {
		w := gzip.NewWriter(&buf)
		_, _ = w.Write(d)
		_ = w.Close()
	}
	return buf.Bytes()
}

// read reads all of an archive and lists what is there.
func read(data io.Reader, o Options) (string, error) {
	a, err := NewReader(data, o)
	if err != nil {
		return "", err
	}
	var list []string
	for {
		e, err := a.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(list, " "), nil
		}
		if err != nil {
			return "", err
		}
		content, err := a.Data(limit.FileBytes)
		if err != nil {
			return "", err
		}
		list = append(list, fmt.Sprintf("%s/%d/%d", e.Name, e.Kind, len(content)))
	}
}

func TestSoundArchives(t *testing.T) {
	sound := pack(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": "abc"}},
		tar.Header{Name: "./", Typeflag: tar.TypeDir}, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, tar.Header{Name: "d", Typeflag: tar.TypeDir},
		tar.Header{Name: "./a.yaml"}, tar.Header{Name: "d/b", Linkname: "../a.yaml", Typeflag: tar.TypeSymlink}, tar.Header{Name: strings.Repeat("long/", 60) + "c.yaml"})
	want := "./1/0 d/1/0 d/1/0 a.yaml/0/5 d/b/2/0 " + strings.Repeat("long/", 60) + "c.yaml/0/5"
	padded := append(bytes.Clone(sound), make([]byte, 9216)...)
	for name, data := range map[string][]byte{
		"packed": zip(sound), "in members": zip(sound[:1000], sound[1000:1500], nil, sound[1500:]), "padded": zip(padded),
	} {
		if got, err := read(bytes.NewReader(data), Options{Gzip: true, Bytes: 1 << 20, Entries: 10}); got != want || err != nil {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
	if got, err := read(bytes.NewReader(padded), Options{Bytes: 1 << 20, Entries: 10}); got != want || err != nil {
		t.Errorf("not packed: %q %v", got, err)
	}
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestRefusedArchives(t *testing.T) {
	sound := pack(t, tar.Header{Name: "a.yaml"})
	one := func(h tar.Header) []byte { return pack(t, h) }
	odd := bytes.Clone(sound)
	odd[156] = 'Z'
	copy(odd[148:156], checksum(odd))
	for name, c := range map[string]struct {
		data    []byte
		problem Problem
		says    string
	}{
		"pipe":            {one(tar.Header{Name: "x/pipe.yaml", Typeflag: tar.TypeFifo}), BadKind, `"x/pipe.yaml", which is a named pipe`},
		"device":          {one(tar.Header{Name: "zero", Typeflag: tar.TypeChar}), BadKind, `"zero", which is a device`},
		"disk":            {one(tar.Header{Name: "sda", Typeflag: tar.TypeBlock}), BadKind, `"sda", which is a device`},
		"continuous":      {one(tar.Header{Name: "c.yaml", Typeflag: tar.TypeCont}), BadKind, `"c.yaml", which is of the unknown kind '7'`},
		"unknown":         {odd, BadKind, `"a.yaml", which is of the unknown kind 'Z'`},
		"holes":           {holes(t), BadKind, `"a.yaml", a file with holes`},
		"twice":           {pack(t, tar.Header{Name: "a.yaml"}, tar.Header{Name: "b"}, tar.Header{Name: "./a.yaml"}), Twice, `"a.yaml" twice`},
		"link and file":   {pack(t, tar.Header{Name: "a.yaml"}, tar.Header{Name: "a.yaml", Typeflag: tar.TypeSymlink, Linkname: "b"}), Twice, `"a.yaml" twice`},
		"file and folder": {pack(t, tar.Header{Name: "a"}, tar.Header{Name: "a/", Typeflag: tar.TypeDir}), Twice, `"a" twice`},
		"absolute":        {one(tar.Header{Name: "/etc/a.yaml"}), BadName, `"/etc/a.yaml"`},
		"absolute folder": {one(tar.Header{Name: "/etc/", Typeflag: tar.TypeDir}), BadName, `"/etc/"`},
		"outside":         {one(tar.Header{Name: "a/../../b.yaml"}), BadName, `"a/../../b.yaml"`},
		"outside folder":  {one(tar.Header{Name: "../", Typeflag: tar.TypeDir}), BadName, `"../"`},
		"backslashes":     {one(tar.Header{Name: `..\b.yaml`}), BadName, `b.yaml`},
		"dot":             {one(tar.Header{Name: "./."}), BadName, `"./."`},
		"long name":       {one(tar.Header{Name: strings.Repeat("n", 5000)}), BadName, "5000 bytes"},
		"deep name":       {one(tar.Header{Name: strings.Repeat("n/", 200) + "a.yaml"}), BadName, "200 directories"},
		"many entries":    {pack(t, tar.Header{Name: "a"}, tar.Header{Name: "b"}, tar.Header{Name: "c"}, tar.Header{Name: "d"}), TooLarge, "more than 3 entries"},
		"promise":         {one(tar.Header{Name: "a.yaml", Size: 1 << 50, Format: tar.FormatPAX}), Damaged, "unexpected EOF"},
		"no end":          {sound[:1024], Damaged, "lacks its end"},
		"cut":             {sound[:515], Damaged, "cut short"},
		"empty":           {nil, Damaged, "lacks its end"},
		"behind the end":  {append(bytes.Clone(sound), "more"...), Damaged, "behind its end"},
		"zeros at length": {append(bytes.Clone(sound), make([]byte, 2*limit.ArchivePadding)...), Damaged, "behind its end"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, packed := range []bool{false, true} {
				data := c.data
				if packed {
					data = zip(data)
				}
				_, err := read(bytes.NewReader(data), Options{Gzip: packed, Bytes: 8 << 20, Entries: 3})
				var e *Error
				if !errors.As(err, &e) || e.Problem != c.problem || !strings.Contains(e.Message, c.says) {
					t.Errorf("packed %v: %v", packed, err)
				}
			}
		})
	}
}

// TestEndlessArchives: what is small when packed, or has no end, costs no more than the bounds.
func TestEndlessArchives(t *testing.T) {
	sound := zip(pack(t, tar.Header{Name: "a.yaml"}))
	bomb := zip(append(pack(t, tar.Header{Name: "a.yaml", Size: 200 << 20})[:512], make([]byte, 200<<20)...))
	for name, c := range map[string]struct {
		data    io.Reader
		problem Problem
		says    string
	}{
		"content":           {bytes.NewReader(bomb), TooLarge, "100 times its size"},
		"behind the member": {io.MultiReader(bytes.NewReader(sound), zeros{}), Damaged, "behind its end"},
		"members":           {io.MultiReader(bytes.NewReader(sound), &repeated{zip(nil), 0}), TooLarge, "32 MiB"},
		"packed twice":      {bytes.NewReader(zip(sound)), Damaged, "cut short"},
		"text":              {strings.NewReader("hello"), NotGzip, "gzip"},
	} {
		o := Options{Gzip: true, Bytes: 256 << 20, Entries: 3}
		if name == "members" {
			o.Bytes = 32 << 20
		}
		_, err := read(c.data, o)
		var e *Error
		if !errors.As(err, &e) || e.Problem != c.problem || !strings.Contains(e.Message, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := read(zeros{}, Options{Bytes: 1 << 20, Entries: 3})
	if e := (*Error)(nil); !errors.As(err, &e) {
		t.Errorf("zeros without gzip: %v", err)
	}
}

// repeated is the same bytes again and again.
type repeated struct {
	of []byte
	at int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.of[r.at:])
	r.at = (r.at + n) % len(r.of)
	return n, nil
}

// checksum is that of a head whose own field is taken for spaces.
func checksum(head []byte) string {
	sum := 0
	for i, b := range head[:512] {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int(b)
	}
	return fmt.Sprintf("%06o\x00 ", sum)
}

// holes is an archive with a file as GNU tar writes it whose content is nearly all holes: its map says so.
func holes(t *testing.T) []byte {
	t.Helper()
	h := make([]byte, 512)
	copy(h, "a.yaml")
	copy(h[100:], "0000644\x00")
	copy(h[124:], "00000000005\x00") // what is packed
	h[156] = tar.TypeGNUSparse
	copy(h[257:], "ustar  \x00")
	copy(h[386:], "00000000000\x0000000000005\x00")
	copy(h[483:], "00000000005\x00") // what it stands for
	copy(h[148:], checksum(h))
	return append(append(h, "a: 1\n"...), make([]byte, 507+1024)...)
}

func FuzzReader(f *testing.F) {
	sound := pack(f, tar.Header{Name: "a.yaml"}, tar.Header{Name: "d/", Typeflag: tar.TypeDir}, tar.Header{Name: "d/l", Linkname: "a", Typeflag: tar.TypeLink}, tar.Header{Name: "d/p", Typeflag: tar.TypeFifo})
	f.Add(sound, false)
	f.Add(zip(sound), true)
	f.Add(zip(sound[:600], sound[600:]), true)
	f.Add(pack(f, tar.Header{Name: "a.yaml", PAXRecords: map[string]string{"path": "b.yaml", "size": "9"}, Format: tar.FormatPAX}), false)
	f.Fuzz(func(t *testing.T, data []byte, gzip bool) {
		defer watchdog.Watch(t)()
		list, err := read(bytes.NewReader(data), Options{Gzip: gzip, Bytes: 1 << 20, Entries: 100})
		if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || e.Message == "") {
			t.Errorf("%T %v", err, err)
		}
		for _, e := range strings.Fields(list) {
			if strings.HasPrefix(e, "/") || strings.Contains("/"+e, "/../") {
				t.Error(e)
			}
		}
	})
}
