package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/server"
	"github.com/meshc/meshc/server/waves"
)

const defaultAdmin = "127.0.0.1:18001"

// askStatus reads /status of a server.
func askStatus(ctx context.Context, address string) (st server.Status, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/status", nil)
	if err != nil {
		return st, fmt.Errorf("--admin %s: write HOST:PORT, the --admin-address of the server", address)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return st, fmt.Errorf("the server's admin address %s cannot be asked: %w", address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return st, fmt.Errorf("the admin address %s answers %s: ask it by an IP address or a name of --admin-name", address, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, limit.BundleBytes)).Decode(&st); err != nil {
		return st, fmt.Errorf("what %s answers is no status of a server: %w", address, err)
	}
	return st, nil
}

func newStatus(a *app) *cobra.Command {
	var output string
	var servers []string
	c := &cobra.Command{
		Use:   "status",
		Short: "Say what servers have in service, and which proxies have it",
		Long: `status asks the admin address of each server for the bundle in service, why there is no newer one, the waves of a rollout
and what became of the last, and how many of its proxies have acknowledged all that they are led to; the others are named with the
reason, refused resources with the line that made them.`,
		Example: `  meshc status
  meshc status --admin 10.0.0.1:18001 --admin 10.0.0.2:18001 -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var list []server.Status
			for _, s := range servers {
				st, err := askStatus(c.Context(), s)
				if err != nil {
					return err
				}
				list = append(list, st)
			}
			if output == "json" {
				e := json.NewEncoder(a.stdout)
				e.SetIndent("", "  ")
				return e.Encode(list)
			}
			for i, st := range list {
				if err := a.printStatus(servers[i], st); err != nil {
					return err
				}
			}
			return nil
		},
	}
	formatFlag(c, &output, "text", "json")
	c.Flags().StringSliceVar(&servers, "admin", []string{defaultAdmin}, "admin address of a server; may be repeated")
	return c
}

func (a *app) printStatus(address string, st server.Status) error {
	acked, all, waiting := st.Settled()
	text := fmt.Sprintf("server      %s\nbundle      %s\n", address, st.Bundle)
	if st.Revision != "" {
		text += "revision    " + st.Revision + "\n"
	}
	if st.Warning != "" {
		text += "no newer    " + st.Warning + "\n"
	}
	text += certificateText(st)
	text += rolloutText(st)
	text += fmt.Sprintf("proxies     %d of %d have what they are led to\n", acked, all)
	for _, w := range waiting {
		text += "  " + w + "\n"
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

// certificateText says when the server's own certificate ends, and the first of those that it hands out.
func certificateText(st server.Status) (text string) {
	if id := st.Identity; id != nil {
		if id.Expires.IsZero() {
			text += "identity    none\n"
		} else {
			text += fmt.Sprintf("identity    %s, until %s\n", cmp.Or(id.ID, "a certificate without a SPIFFE ID"), id.Expires.Format(time.RFC3339))
		}
		if id.Warning != "" {
			text += "            " + id.Warning + "\n"
		}
	}
	if len(st.Expiring) > 0 { // the soonest comes first
		text += fmt.Sprintf("handed out  %s, until %s\n", st.Expiring[0].From, st.Expiring[0].Expires.Format(time.RFC3339))
	}
	return text
}

// rolloutText says where a rollout is, what holds it, and what became of the last.
func rolloutText(st server.Status) (text string) {
	if st.Held != nil {
		text += fmt.Sprintf("held        by a rollback since %s; meshc rollback --release undoes it\n", st.Held.Since.Format(time.RFC3339))
	}
	if st.Newest != "" && st.Rollout == nil {
		text += "newest      " + st.Newest + "\n"
		if why := st.Failure(st.Newest); why != "" {
			text += "            " + why + "\n"
		}
	}
	for _, c := range st.Channels {
		text += fmt.Sprintf("channel     %s holds %s\n", c.Name, c.Bundle)
	}
	for _, l := range st.Live {
		text += "weights     " + liveText(l) + "\n"
	}
	if r := st.Rollout; r != nil {
		text += "rollout     " + r.Bundle + "\n"
		for _, w := range r.Waves {
			text += fmt.Sprintf("  %-12s %s", w.State, w.Name)
			if w.State != waves.StateWaiting {
				text += fmt.Sprintf(", %d of %d have it", w.Acked, w.Proxies)
			}
			if w.Who != w.Name {
				text += " (" + w.Who + ")"
			}
			text += "\n"
		}
	}
	return text
}

func newWait(a *app) *cobra.Command {
	var w waiting
	c := &cobra.Command{
		Use:   "wait --digest DIGEST",
		Short: "Wait until proxies have acknowledged a bundle",
		Long: `wait asks servers again and again until so many of their proxies have acknowledged all of a bundle and refuse nothing of it.
A server without proxies has none that acknowledged: --proxies says how many have to be connected at least. Proxies that a
channel holds on another bundle do not count. A rollout is waited for wave by wave; one that goes back ends the wait.

Exit code: 0 when they have, 1 when they have not within --timeout or a rollout of it went back, 2 when no server could be asked in that time.`,
		Example: `  meshc wait --digest "$(meshc compile mesh/ -o mesh.bundle | cut -d' ' -f1)" --for acked=100% --timeout 2m`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return w.run(c.Context(), a) },
	}
	f := c.Flags()
	f.StringVar(&w.digest, "digest", "", "digest of the bundle, as compile prints it")
	f.StringVar(&w.until, "for", "acked=100%", "how many proxies, as acked=N% or acked=N")
	f.IntVar(&w.proxies, "proxies", 1, "how many proxies have to be connected at least")
	f.DurationVar(&w.timeout, "timeout", 5*time.Minute, "how long to wait")
	f.StringSliceVar(&w.servers, "admin", []string{defaultAdmin}, "admin address of a server; may be repeated")
	return c
}

// waiting is what wait waits for.
type waiting struct {
	digest, until string
	proxies       int
	timeout       time.Duration
	servers       []string
}

// pause is how long wait leaves servers alone.
const pause = 300 * time.Millisecond

func (w *waiting) run(ctx context.Context, a *app) error {
	if !isDigest(w.digest) {
		return errors.New("which bundle: say --digest sha256:…, as meshc compile prints it")
	}
	enough, err := w.enough()
	if err != nil {
		return err
	}
	end := time.Now().Add(w.timeout)
	for {
		acked, all, others, gone, err := w.look(ctx)
		if len(gone) > 0 {
			fmt.Fprintf(a.stderr, "meshc: %s is not coming\n", w.digest)
			for _, g := range gone {
				fmt.Fprintf(a.stderr, "  %s\n", g)
			}
			return errFindings
		}
		if err == nil && all >= w.proxies && enough(acked, all) {
			_, err = fmt.Fprintf(a.stdout, "%s  %d of %d proxies have it\n", w.digest, acked, all)
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(end) {
			if err != nil {
				return err
			}
			fmt.Fprintf(a.stderr, "meshc: after %v %d of %d proxies have %s\n", w.timeout, acked, all, w.digest)
			for _, o := range others[:min(len(others), 10)] {
				fmt.Fprintf(a.stderr, "  %s\n", o)
			}
			return errFindings
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// look asks all servers once. gone says why servers have given the bundle up.
func (w *waiting) look(ctx context.Context) (acked, all int, others, gone []string, err error) {
	for _, s := range w.servers {
		st, err := askStatus(ctx, s)
		if err != nil {
			return 0, 0, nil, nil, err
		}
		if why := st.Failure(w.digest); why != "" {
			gone = append(gone, s+": "+why)
		}
		n, of, waiting := st.Arrived(w.digest)
		acked, all, others = acked+n, all+of, append(others, waiting...)
	}
	return acked, all, others, gone, nil
}

// enough reads how many have to have acknowledged.
func (w *waiting) enough() (func(acked, all int) bool, error) {
	number, ok := strings.CutPrefix(w.until, "acked=")
	share, percent := strings.CutSuffix(number, "%")
	n, err := strconv.Atoi(share)
	if !ok || err != nil || n < 0 || percent && n > 100 {
		return nil, fmt.Errorf("--for %s: write acked=N%% or acked=N", w.until)
	}
	if percent {
		return func(acked, all int) bool { return 100*acked >= n*all }, nil
	}
	return func(acked, _ int) bool { return acked >= n }, nil
}
