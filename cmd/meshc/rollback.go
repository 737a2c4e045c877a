package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/server"
)

// tokenVariable names the file with the token where no flag does.
const tokenVariable = "MESHC_ADMIN_TOKEN_FILE"

// commander gives commands to servers.
type commander struct {
	servers []string
	token   string // file
}

func (m *commander) flags(f *pflag.FlagSet) {
	f.StringSliceVar(&m.servers, "admin", []string{defaultAdmin}, "admin address of a server; may be repeated")
	f.StringVar(&m.token, "token", "", "file with the token of the servers' --admin-token (default: $"+tokenVariable+")")
}

// ask sends a request to the admin address of a server. A command has a body and the token.
func (m *commander) ask(ctx context.Context, address, method, path string, in, out any) error {
	var text io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, text)
	if err != nil {
		return fmt.Errorf("--admin %s: write HOST:PORT, the --admin-address of the server", address)
	}
	if method != http.MethodGet {
		token, err := m.secret()
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("the server's admin address %s cannot be asked: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, limit.CommandBytes))
		return fmt.Errorf("the server %s answers %s: %s", address, resp.Status, strings.TrimSpace(string(why)))
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, limit.BundleBytes)).Decode(out); err != nil {
		return fmt.Errorf("what %s answers is not what a server does: %w", address, err)
	}
	return nil
}

// secret reads the token.
func (m *commander) secret() (string, error) {
	file := m.token
	if file == "" {
		file = os.Getenv(tokenVariable)
	}
	if file == "" {
		return "", errors.New("a server takes commands from those who have its token: say --token FILE, with what the server's --admin-token has")
	}
	text, err := regular.ReadFile(file, limit.CommandBytes)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("%s holds no token: one line is wanted", file)
	}
	return token, nil
}

// each gives a command to all servers, and tells of each what came of it. One that fails keeps no other from being asked.
func (m *commander) each(do func(address string) error) error {
	var failed []error
	for _, s := range m.servers {
		if err := do(s); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func newRollback(a *app) *cobra.Command {
	var m commander
	var to, output string
	var release, list bool
	c := &cobra.Command{
		Use:   "rollback [--to DIGEST | --release | --list]",
		Short: "Lead all proxies of servers back to an earlier bundle, at once",
		Long: `rollback has servers make a bundle that they keep (serve --keep) the one in service, at once and for all proxies that no
channel holds. Without --to it ends a rollout that is under way, or else goes to the bundle that was in service before.

It holds: whatever the path, the tag or Git brings afterwards is kept and waits, also over a restart of the server, until
--release takes the newest of it into service, wave by wave if it says so. --release also begins a bundle again that went back
by itself. A token is needed: see the server's --admin-token.`,
		Example: `  meshc rollback --list
  meshc rollback --token token
  meshc rollback --to sha256:9ee60d81… --admin 10.0.0.1:18001 --admin 10.0.0.2:18001
  meshc rollback --release`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case release && to != "" || list && (release || to != ""):
				return errors.New("--to, --release and --list are three commands: give one of them")
			case list:
				return a.listKept(c.Context(), &m, output)
			case to != "" && !isDigest(to):
				return fmt.Errorf("--to %s: write the digest that meshc compile prints, sha256:…", to)
			}
			return m.each(func(s string) error {
				var out server.CommandReply
				var err error
				if release {
					err = m.ask(c.Context(), s, http.MethodPost, "/release", struct{}{}, &out)
				} else {
					err = m.ask(c.Context(), s, http.MethodPost, "/rollback", server.RollbackRequest{Bundle: to}, &out)
				}
				if err != nil {
					return err
				}
				return a.printCommand(s, release, out)
			})
		},
	}
	f := c.Flags()
	f.StringVar(&to, "to", "", "digest of the bundle to go back to (default: the one before)")
	f.BoolVar(&release, "release", false, "undo: take what arrived last into service, and what arrives from now on")
	f.BoolVar(&list, "list", false, "list the bundles that can be gone back to")
	formatFlag(c, &output, "text", "json")
	m.flags(f)
	return c
}

func (a *app) printCommand(address string, release bool, out server.CommandReply) error {
	text := fmt.Sprintf("%s  %s is in service, before it was %s; meshc rollback --release undoes it\n", address, out.Bundle, out.Before)
	if release {
		text = fmt.Sprintf("%s  %s is taken into service, and what arrives from now on\n", address, out.Bundle)
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

// listKept prints what servers keep.
func (a *app) listKept(ctx context.Context, m *commander, output string) error {
	lists := map[string][]bundle.Kept{}
	for _, s := range m.servers {
		var list []bundle.Kept
		if err := m.ask(ctx, s, http.MethodGet, "/bundles", nil, &list); err != nil {
			return err
		}
		lists[s] = list
	}
	if output == "json" {
		e := json.NewEncoder(a.stdout)
		e.SetIndent("", "  ")
		return e.Encode(lists)
	}
	for _, s := range m.servers {
		for _, k := range lists[s] {
			line := fmt.Sprintf("%s  %s  kept %s", s, k.Bundle, k.Kept.Format(time.RFC3339))
			if k.Revision != "" {
				line += "  revision " + k.Revision
			}
			if _, err := fmt.Fprintln(a.stdout, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// isDigest tells whether a text is the digest of a bundle.
func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}
