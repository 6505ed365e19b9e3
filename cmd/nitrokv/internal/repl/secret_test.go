package repl

import (
	"strings"
	"testing"
)

// What only asks about users and settings has no password in it, and must work as a single command.
func TestTellsPassword(t *testing.T) {
	for line, want := range map[string]bool{
		"AUTH p": true, "auth me p": true, "hello 3 auth me p": true, "ACL SETUSER u >p": true, "Config Set requirepass p": true,
		"MIGRATE h 1 k 0 5 AUTH p": true, "auth": false, "acl whoami": false, "ACL LIST": false, "config get requirepass": false,
		"set auth p": false, "hello 3": false,
	} {
		if got := tellsPassword(strings.Fields(line)); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func TestSecrets(t *testing.T) {
	for _, line := range []string{
		"AUTH p", "auth default p", "  Auth  p", `"AUTH" p`, `'auth' "p`, "AUTH <<END", "HELLO 3 AUTH default p", "hello 3 setname x auth default p",
		`HELLO 3 "AUTH" u p`, "CONFIG SET requirepass p", "config set masterauth p", "CONFIG SET maxmemory 1 requirepass p", "ACL SETUSER u >p",
		"MIGRATE h 1 k 0 5 AUTH p", "MIGRATE h 1 k 0 5 AUTH2 u p",
	} {
		if !isSecret(line) {
			t.Errorf("%q is no secret", line)
		}
	}
	for _, line := range []string{"", "AUTH", "GET auth", "SET auth 1", "HELLO 3", "HELLO 3 SETNAME authority", "CONFIG GET maxmemory", "help auth"} {
		if isSecret(line) {
			t.Errorf("%q is taken for a secret", line)
		}
	}
}
