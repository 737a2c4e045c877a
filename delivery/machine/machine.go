// Package machine packs what a virtual machine needs to be a member of a mesh: one archive that is unpacked at its root.
//
// In it are the bootstrap of the proxy, the rules by which connections come to it (nftables, one table for each family that stands
// alone and is taken away whole), units of systemd that start the one and install the other, the user that the rules know the proxy
// by, and a page that says what is left to do. The proxy starts first and the rules follow, and whoever stops the proxy takes the
// rules away, so that a machine without its proxy is a machine as others are. Nothing secret is in the archive, and the same options
// give the same bytes.
package machine

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/meshc/meshc/internal/intercept"
)

// Options describe one machine.
type Options struct {
	Bootstrap    []byte             // of Envoy, as JSON
	Interception intercept.Settings // what of the machine's traffic goes through the proxy
	Gateway      bool               // the machine is a gateway: nothing is intercepted, and the proxy may listen below 1024
	Envoy        string             // path of the program on the machine; default /usr/local/bin/envoy
	Admin        string             // address of Envoy's admin interface
	Hosts        []Host             // names that have to be known before the proxy is there, such as that of the ADS server
	Identity     Identity
}

// Host is a line of /etc/hosts.
type Host struct {
	Name    string
	Address netip.Addr
}

// Identity is how the proxy comes to its certificate.
type Identity struct {
	SPIFFE             string // that it has to be, for people
	Socket             string // of SPIRE's agent; "": from files or from nowhere
	Cert, Key, RootsAt string // files on the machine; "": none
}

// Files of the archive, below the root of the machine.
const (
	Folder           = "etc/meshc"
	BootstrapFile    = Folder + "/envoy.json"
	RulesFile        = Folder + "/rules.nft"
	HostsFile        = Folder + "/hosts"
	ReadmeFile       = Folder + "/README"
	ProxyUnit        = "etc/systemd/system/meshc-proxy.service"
	InterceptionUnit = "etc/systemd/system/meshc-interception.service"
	UsersFile        = "etc/sysusers.d/meshc-proxy.conf"
)

// file is one file of the archive.
type file struct {
	name string
	text []byte
}

// Write writes the archive, tar compressed with gzip.
func Write(w io.Writer, o Options) error {
	o.Envoy = cmp.Or(o.Envoy, "/usr/local/bin/envoy")
	if !path.IsAbs(o.Envoy) || strings.ContainsAny(o.Envoy, " \t\n%\\\"'") {
		return fmt.Errorf("the path of Envoy on the machine is %q, and has to be an absolute one without blanks, quotes and percent signs", o.Envoy)
	}
	files := []file{{BootstrapFile, o.Bootstrap}}
	if !o.Gateway {
		files = append(files, file{RulesFile, []byte(o.Interception.NFT(false) + o.Interception.NFT(true))})
	}
	if len(o.Hosts) > 0 {
		files = append(files, file{HostsFile, hosts(o.Hosts)})
	}
	for _, t := range []struct{ name, text string }{{ProxyUnit, proxyUnit}, {InterceptionUnit, interceptionUnit}, {UsersFile, users}, {ReadmeFile, readme}} {
		if o.Gateway && t.name == InterceptionUnit {
			continue
		}
		text, err := filled(t.name, t.text, o)
		if err != nil {
			return err
		}
		files = append(files, file{t.name, text})
	}
	return pack(w, files)
}

// pack writes files, by name and without anything of when and by whom.
func pack(w io.Writer, files []file) error {
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	z := gzip.NewWriter(w)
	t := tar.NewWriter(z)
	for _, f := range files {
		head := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: int64(fs.FileMode(0o644)), Size: int64(len(f.text)), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := t.WriteHeader(head); err != nil {
			return err
		}
		if _, err := t.Write(f.text); err != nil {
			return err
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return z.Close()
}

func hosts(list []Host) []byte {
	var b bytes.Buffer
	for _, h := range list {
		fmt.Fprintf(&b, "%s\t%s\n", h.Address, h.Name)
	}
	return b.Bytes()
}

func filled(name, text string, o Options) ([]byte, error) {
	t, err := template.New(name).Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{"O": o, "User": intercept.ProxyUID, "Table": intercept.Table, "Bootstrap": "/" + BootstrapFile, "Rules": "/" + RulesFile, "Hosts": "/" + HostsFile})
	return b.Bytes(), err
}
