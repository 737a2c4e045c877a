package clone

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Remote tells whether a name is that of a remote repository: a URL, or USER@HOST:PATH as ssh has it.
func Remote(name string) bool {
	return strings.Contains(name, "://") || scp(name)
}

// scp tells whether a name is USER@HOST:PATH.
func scp(name string) bool {
	user, rest, ok := strings.Cut(name, "@")
	host, path, colon := strings.Cut(rest, ":")
	return ok && colon && user != "" && host != "" && path != "" && !strings.ContainsAny(user+host, "/ ")
}

// private refuses remotes that anybody on the way could stand in for, and those that run a program or read this disk.
func private(name string) error {
	if scp(name) {
		return nil
	}
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%s is not the address of a Git repository: write https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH", shown(name))
	}
	_, password := u.User.Password()
	ip := net.ParseIP(u.Hostname())
	switch {
	case password:
		return fmt.Errorf("%s: a password in an address ends up in logs; put it into a file for --git-token", shown(name))
	case u.Scheme == "https" || u.Scheme == "ssh":
		return nil
	case u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()):
		return nil
	case u.Scheme == "http" || u.Scheme == "git":
		return fmt.Errorf("%s: without TLS whoever is on the way can change what is fetched; use https or ssh", shown(name))
	}
	return fmt.Errorf("%s: %s is not a way to fetch from; use https or ssh", shown(name), u.Scheme)
}

// shown is the address as it may be logged.
func shown(name string) string {
	if scp(name) {
		return name
	}
	u, err := url.Parse(name)
	if err != nil {
		return "the address"
	}
	return u.Redacted()
}

// auth is how to show who asks; nil: nothing is shown, or the agent of the user shows it.
func (c *Clone) auth() (transport.AuthMethod, error) {
	e, err := transport.NewEndpoint(c.o.URL)
	if err != nil {
		return nil, err
	}
	switch {
	case e.Protocol == "ssh":
		return c.sshAuth(e.User)
	case c.o.TokenFile != "":
		text, err := regular.ReadFile(c.o.TokenFile, limit.CommandBytes)
		if err != nil {
			return nil, err
		}
		user := e.User
		if user == "" {
			user = "git" // GitHub and Gitea take any, GitLab any but an empty one
		}
		return &http.BasicAuth{Username: user, Password: strings.TrimSpace(string(text))}, nil
	}
	return nil, nil
}

// sshAuth signs with the key of a file, or with the user's agent; the key of the host has to be known.
func (c *Clone) sshAuth(user string) (transport.AuthMethod, error) {
	if user == "" {
		user = ssh.DefaultUsername
	}
	var files []string
	if c.o.KnownHosts != "" {
		files = append(files, c.o.KnownHosts)
	}
	known, err := ssh.NewKnownHostsCallback(files...)
	if err != nil {
		return nil, fmt.Errorf("the keys of hosts cannot be read: %w; name a file with --git-known-hosts, as ssh-keyscan prints it", err)
	}
	if c.o.SSHKey == "" {
		if os.Getenv("SSH_AUTH_SOCK") == "" {
			return nil, fmt.Errorf("%s: no key for ssh; give --git-ssh-key FILE, or start an agent", shown(c.o.URL))
		}
		agent, err := ssh.NewSSHAgentAuth(user)
		if err != nil {
			return nil, err
		}
		agent.HostKeyCallback = known
		return agent, nil
	}
	pem, err := regular.ReadFile(c.o.SSHKey, limit.CommandBytes)
	if err != nil {
		return nil, err
	}
	keys, err := ssh.NewPublicKeys(user, pem, "")
	if err != nil {
		return nil, fmt.Errorf("%s holds no private key that can be read without a passphrase: %w", c.o.SSHKey, err)
	}
	keys.HostKeyCallback = known
	return keys, nil
}
