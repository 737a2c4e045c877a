package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/credential"
)

// Place is where a proxy finds what it needs, as it sees its own file system.
type Place struct {
	Directory string // absolute; of envoy.json, the link and the sets
	Secrets   string // absolute; a directory of secrets as package credential describes it; empty: there is none
	Node      bundle.Node
	Account   string // service account of the workload
}

// Bootstrap is where a bootstrap finds listeners and clusters.
func (p Place) Bootstrap() *bootstrap.Files {
	return &bootstrap.Files{Listeners: p.source(listenersFile), Clusters: p.source(clustersFile)}
}

// secret is the Secret that says in which files a secret is.
func (p Place) secret(name string) (*tlsv3.Secret, error) {
	ref, err := credential.Refer(p.Node, p.Account, name)
	if err != nil {
		return nil, err
	}
	if len(ref.Names) > 0 {
		if ref, err = p.stored(ref); err != nil {
			return nil, err
		}
	}
	return ref.Remote(name), nil
}

// stored makes files of what is in the directory of secrets. A list of revoked certificates counts where there is one.
func (p Place) stored(ref credential.Reference) (credential.Reference, error) {
	if p.Secrets == "" {
		return ref, errors.New("it is in no file of the proxy: say where credentials are with --secrets DIR, and where the workload's own certificate is with --identity files")
	}
	first := credential.CertificateFile
	if ref.CA {
		first = credential.RootsFile
	}
	var tried string
	for _, folder := range ref.Folders() {
		at := func(name string) string { return filepath.Join(p.Secrets, filepath.FromSlash(folder), name) }
		if there, err := exists(at(first)); err != nil || !there {
			if err != nil {
				return ref, err
			}
			tried = at(first)
			continue
		}
		if !ref.CA {
			there, err := exists(at(credential.KeyFile))
			if err == nil && !there {
				err = fmt.Errorf("%s is not there, and %s is", at(credential.KeyFile), first)
			}
			return credential.Reference{Cert: at(first), Key: at(credential.KeyFile)}, err
		}
		out := credential.Reference{Roots: at(first)}
		there, err := exists(at(credential.RevokedFile))
		if there {
			out.Revoked = at(credential.RevokedFile)
		}
		return out, err
	}
	return ref, fmt.Errorf("there is no file %s", tried)
}

func exists(file string) (bool, error) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is no regular file", file)
	}
	return true, nil
}
