package repl

import (
	"slices"
	"strings"
)

// tellsPassword reports whether a command has a password in it. Unlike isSecret it must not be too careful, for it makes
// the command fail: what ACL and CONFIG only ask for is none.
func tellsPassword(args []string) bool {
	line := strings.Join(args, " ")
	if !isSecret(line) {
		return false
	}
	words := strings.Fields(strings.ToLower(line))
	switch words[0] {
	case "acl":
		return words[1] == "setuser"
	case "config":
		return words[1] == "set"
	}
	return true
}

// isSecret reports whether a line has a password in it. It looks at the words as they were typed, whether or not the line
// can be split, and would rather keep too much secret: "SET hello auth" stays out of the history only if its verb is one
// that takes passwords.
func isSecret(line string) bool {
	words := strings.Fields(strings.ToLower(strings.NewReplacer(`"`, "", `'`, "").Replace(line)))
	if len(words) < 2 {
		return false
	}
	rest := words[1:]
	switch words[0] {
	case "auth", "acl":
		return true
	case "hello", "migrate":
		return slices.Contains(rest, "auth") || slices.Contains(rest, "auth2")
	case "config":
		return slices.ContainsFunc(rest, func(w string) bool {
			return w == "requirepass" || strings.HasSuffix(w, "auth") || strings.HasSuffix(w, "password")
		})
	}
	return false
}
