package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshc/meshc/internal/intercept"
)

// What installs rules, for --with.
const (
	withIPTables = "iptables"
	withNFTables = "nftables"
)

func newIntercept(a *app) *cobra.Command {
	var with string
	var show, dns bool
	var check time.Duration
	set := map[string]*string{}
	c := &cobra.Command{
		Use:   "intercept",
		Short: "Install the rules by which connections come to the proxy",
		Long: `intercept installs rules in the network namespace that it runs in: what arrives goes to the proxy's port 15006, what is sent to
15001, and what the proxy, user 1337, sends itself goes on its way. Injection runs it in an init container; on a machine it runs
once at boot. It needs root with NET_ADMIN; without iptables it gives nftables' rules to the kernel itself. Installing again replaces
what was installed.

With --check nothing is installed: it waits until connections are redirected, by whoever does it, such as the CNI plugin of the node, and
ends with exit code 2 if they are not in that time. It wants no right, and any user but 1337.`,
		Example: `  meshc intercept --exclude-inbound-ports 22 --exclude-outbound-ranges 169.254.169.254/32
  meshc intercept --print --with nftables
  meshc intercept --check 30s`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s := intercept.Default()
			s.DNS = dns
			for _, o := range intercept.Options {
				if err := o.Set(&s, *set[o.Flag]); err != nil {
					return fmt.Errorf("--%s: %w", o.Flag, err)
				}
			}
			if c.Flags().Changed("check") {
				inTime, cancel := context.WithTimeoutCause(c.Context(), check, fmt.Errorf("not within %v", check))
				defer cancel()
				return a.checkInterception(inTime, s)
			}
			if with == "" {
				with = installer()
			}
			return a.intercept(c.Context(), s, with, show)
		},
	}
	f := c.Flags()
	for _, o := range intercept.Options {
		set[o.Flag] = f.String(o.Flag, o.Text(intercept.Default()), o.Usage)
	}
	f.BoolVar(&dns, "dns", false, "look-ups of names go to the proxy, too")
	f.DurationVar(&check, "check", 0, "install none, and wait so long until connections are redirected")
	f.BoolVar(&show, "print", false, "print the rules, and install none")
	f.Var(&choice{&with, "tool", []string{withIPTables, withNFTables}}, "with", "iptables, by its program, or nftables, by the kernel (default: iptables where that is there)")
	_ = c.RegisterFlagCompletionFunc("with", cobra.FixedCompletions([]string{withIPTables, withNFTables}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func installer() string {
	if _, err := exec.LookPath("iptables-restore"); err != nil {
		return withNFTables
	}
	return withIPTables
}

// intercept installs the rules of IPv4, and those of IPv6 where the namespace has it.
func (a *app) intercept(ctx context.Context, s intercept.Settings, with string, show bool) error {
	families := []bool{false}
	if show || hasIPv6() {
		families = append(families, true)
	}
	for _, six := range families {
		var err error
		switch {
		case show && with == withIPTables:
			_, err = fmt.Fprintf(a.stdout, "# %s\n%s", strings.Join(restore(six), " "), s.IPTables(six, ""))
		case show:
			_, err = fmt.Fprintf(a.stdout, "# nft -f -\n%s", s.NFT(six))
		case with == withIPTables:
			err = iptables(ctx, restore(six), s.IPTables(six, saved(ctx, six)))
		default:
			err = s.Install(six)
		}
		if err != nil {
			return err
		}
	}
	if !show {
		a.note("connections of this network namespace go through the proxy, by %s", with)
	}
	return nil
}

// restore is the command that takes rules of iptables.
func restore(six bool) []string {
	if six {
		return []string{"ip6tables-restore", "--noflush"}
	}
	return []string{"iptables-restore", "--noflush"}
}

// saved is what iptables has in the table nat; "" where there is no program that tells.
func saved(ctx context.Context, six bool) string {
	program := "iptables-save"
	if six {
		program = "ip6tables-save"
	}
	out, err := exec.CommandContext(ctx, program, "-t", "nat").Output()
	if err != nil {
		return ""
	}
	return string(out)
}

func iptables(ctx context.Context, argv []string, rules string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(rules)
	cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE=/dev/shm/xtables.lock") // /run may not be writable
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, bytes.TrimSpace(said))
	}
	return nil
}

// hasIPv6 tells whether an interface has an address of IPv6.
func hasIPv6() bool {
	b, err := os.ReadFile("/proc/self/net/if_inet6")
	return err == nil && len(bytes.TrimSpace(b)) > 0
}
