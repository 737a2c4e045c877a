package archive

import (
	"io"

	"github.com/meshc/meshc/internal/limit"
)

// counter counts the bytes that are read, and refuses to read beyond a bound, which does not include what an archive is padded
// with.
type counter struct {
	r      io.Reader
	n      int64
	most   int64
	packed *counter // what the bytes are unpacked from; nil: nothing
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	switch {
	case c.n > c.most+limit.ArchivePadding:
		return 0, refuse(TooLarge, "", "the archive has more than the %d MiB that it may have", c.most>>20)
	case c.packed != nil && c.n > limit.ArchiveFree && c.n > limit.ArchiveRatio*c.packed.n:
		return 0, refuse(TooLarge, "", "the archive unpacks to more than %d times its size", limit.ArchiveRatio)
	}
	return n, err
}
