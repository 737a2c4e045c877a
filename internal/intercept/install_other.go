//go:build !linux

package intercept

import "errors"

// Install gives the kernel the rules, which only that of Linux has.
func (Settings) Install(bool) error { return errors.New("only Linux can redirect connections so") }
