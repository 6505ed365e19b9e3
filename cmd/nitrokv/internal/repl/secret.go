package repl

import (
	"slices"
	"strings"
)

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
