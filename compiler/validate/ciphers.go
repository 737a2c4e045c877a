package validate

import (
	"slices"
	"strings"
)

// Ciphers are the TLS 1.2 cipher suites of Envoy.
func Ciphers() []string {
	return []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
		"ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA",
	}
}

// KnownCipher tells whether Envoy takes an entry of a list: a suite, ALL, a group of equal preference as [NAME|NAME], what
// takes suites away (-NAME, and !NAME for good) or puts them last (+NAME), or @STRENGTH.
func KnownCipher(entry string) bool {
	names, op := cipherNames(entry)
	if op == '@' {
		return entry == "@STRENGTH"
	}
	if len(names) == 0 {
		return false
	}
	for _, n := range names {
		known := n == "ALL" || slices.Contains(Ciphers(), n)
		if !known && (op == 0 || op == '[' || len(suitesOf(n)) == 0) {
			return false
		}
	}
	return true
}

// cipherNames are the names in an entry, and the sign before them; 0: there is none.
func cipherNames(entry string) (names []string, op byte) {
	if entry == "" {
		return nil, 0
	}
	switch entry[0] {
	case '-', '+', '!', '@':
		return []string{entry[1:]}, entry[0]
	case '[':
		inner, closed := strings.CutSuffix(entry[1:], "]")
		if !closed {
			return nil, '['
		}
		return slices.DeleteFunc(strings.Split(inner, "|"), func(n string) bool { return n == "" }), '['
	}
	return []string{entry}, 0
}

// suitesOf are the suites that a name stands for: itself, or those of an alias of BoringSSL.
func suitesOf(name string) []string {
	has := func(parts ...string) []string {
		return slices.DeleteFunc(Ciphers(), func(c string) bool {
			return !slices.ContainsFunc(parts, func(p string) bool { return strings.Contains("-"+c+"-", "-"+p+"-") })
		})
	}
	switch name {
	case "ALL", "DEFAULT", "HIGH", "FIPS":
		return Ciphers()
	case "ECDHE", "EECDH", "kECDHE":
		return has("ECDHE")
	case "RSA", "kRSA":
		return slices.DeleteFunc(Ciphers(), func(c string) bool { return strings.HasPrefix(c, "ECDHE") })
	case "aECDSA":
		return has("ECDSA")
	case "aRSA":
		return slices.DeleteFunc(Ciphers(), func(c string) bool { return strings.Contains(c, "ECDSA") })
	case "AES":
		return has("AES128", "AES256")
	case "AESGCM":
		return has("GCM")
	case "AES128", "AES256", "CHACHA20", "SHA":
		return has(name)
	case "SHA1", "TLSv1", "SSLv3":
		return has("SHA")
	case "TLSv1.2":
		return has("GCM", "CHACHA20")
	}
	return slices.DeleteFunc(Ciphers(), func(c string) bool { return c != name })
}

// cipherListFault tells what is wrong with a list as a whole; "" if nothing is.
func cipherListFault(list []string) string {
	left, banned, grouped := map[string]bool{}, map[string]bool{}, false
	for _, entry := range list {
		names, op := cipherNames(entry)
		if grouped = grouped || op == '['; grouped && op != 0 && op != '[' {
			return "takes suites away behind a group"
		}
		for _, n := range names {
			for _, suite := range suitesOf(n) {
				switch op {
				case 0, '[':
					left[suite] = !banned[suite]
				case '-':
					left[suite] = false
				case '!':
					left[suite], banned[suite] = false, true
				}
			}
		}
	}
	for _, l := range left {
		if l {
			return ""
		}
	}
	return "leaves no suite"
}
