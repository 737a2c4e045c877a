package intercept_test

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meshc/meshc/internal/intercept"
)

// What Install gives the kernel reads back as what nft gives it, twice as well as once.
func TestInstall(t *testing.T) {
	_, err := exec.LookPath("nft")
	if os.Geteuid() != 0 || err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal("this needs root and nft")
		}
		t.Skip("this needs root and nft")
	}
	s := with(t, every)
	s.DNS = true
	for _, six := range []bool{false, true} {
		for name, s := range map[string]intercept.Settings{"default": intercept.Default(), "all settings": s} {
			ours := ruleset(t, func() error {
				if err := s.Install(six); err != nil {
					return err
				}
				return s.Install(six)
			})
			theirs := ruleset(t, func() error {
				cmd := exec.Command("nft", "-f", "-")
				cmd.Stdin = strings.NewReader(s.NFT(six))
				return cmd.Run()
			})
			if ours != theirs || !strings.Contains(ours, "MESH_OUTBOUND_CHOICE") {
				t.Errorf("%s, IPv6 %v: by netlink\n%s\nby nft\n%s", name, six, ours, theirs)
			}
		}
	}
}

// ruleset is what the kernel has in a network namespace of its own after install.
func ruleset(t *testing.T, install func() error) string {
	t.Helper()
	type answer struct {
		text []byte
		err  error
	}
	out := make(chan answer)
	go func() {
		runtime.LockOSThread() // for good: the thread, and with it the namespace, ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = install()
		}
		var text []byte
		if err == nil {
			text, err = exec.Command("nft", "list", "ruleset").CombinedOutput()
		}
		out <- answer{text, err}
	}()
	a := <-out
	if a.err != nil {
		t.Fatalf("%v: %s", a.err, a.text)
	}
	return string(a.text)
}
