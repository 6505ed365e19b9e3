package server

import (
	"strconv"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
)

// RedisVersion is the version of Redis whose commands and texts this server follows. Clients choose by it what
// they may send; the server's own version stands beside it in INFO.
const RedisVersion = "7.2.4"

// hello is HELLO [protover [AUTH user password] [SETNAME name]]: it switches the protocol and describes the
// server. Nothing changes if any part of it fails.
func (r *request) hello() {
	want, name, setName := 0, "", false
	if len(r.args) > 1 {
		n, ok := parseInt(r.args[1])
		if !ok {
			r.fail("ERR Protocol version is not an integer or out of range")
			return
		}
		if n != 2 && n != 3 {
			r.fail("NOPROTO unsupported protocol version")
			return
		}
		want = int(n)
	}
	for i := 2; i < len(r.args); {
		left := len(r.args) - i - 1
		switch {
		case isWord(r.args[i], "AUTH") && left >= 2:
			r.refuseUser(r.args[i+1])
			return
		case isWord(r.args[i], "SETNAME") && left >= 1:
			name, setName = r.args[i+1], true
			if !printable(name) {
				r.fail("ERR Client names cannot contain spaces, newlines or special characters.")
				return
			}
			i += 2
		default:
			r.fail("ERR Syntax error in HELLO option '%s'", quoted(r.args[i]))
			return
		}
	}
	if setName {
		r.c.setMeta(func(m *clientMeta) { m.name = name })
	}
	switch want {
	case 2:
		r.c.ss.SetProtocol(engine.ProtocolRESP2)
	case 3:
		r.c.ss.SetProtocol(engine.ProtocolRESP3)
	}
	r.describe()
}

// describe is the reply to HELLO, in the protocol that holds now.
func (r *request) describe() {
	r.resp3 = r.c.ss.Protocol() == engine.ProtocolRESP3
	version := int64(2)
	if r.resp3 {
		version = 3
	}
	r.dict(7)
	r.bulk("server")
	r.bulk("redis")
	r.bulk("version")
	r.bulk(RedisVersion)
	r.bulk("proto")
	r.int(version)
	r.bulk("id")
	r.int(int64(r.c.id))
	r.bulk("mode")
	r.bulk("standalone")
	r.bulk("role")
	r.bulk("master")
	r.bulk("modules")
	r.array(0)
}

// auth is AUTH [user] password. There are no passwords, and a client that sends one believes that there are: it
// is told so even for the default user, to whom Redis would say OK.
func (r *request) auth() {
	if len(r.args) > 3 {
		r.syntaxError()
		return
	}
	user := "default"
	if len(r.args) == 3 {
		user = r.args[1]
	}
	r.refuseUser(user)
}

func (r *request) refuseUser(user string) {
	if user != "default" {
		r.fail("WRONGPASS invalid username-password pair or user is disabled.")
		return
	}
	r.fail("ERR AUTH <password> called without any password configured for the default user. " +
		"Are you sure your configuration is correct?")
}

// reset puts the connection back to how it began; what the client's library said about itself stays, as in Redis.
func (r *request) reset() {
	r.c.setMeta(func(m *clientMeta) { m.name = "" })
	r.c.ss.SetProtocol(engine.ProtocolRESP2)
	r.c.ss.SetLevel(r.c.srv.opt.Level)
	r.resp3 = false
	r.status("RESET")
}

// printable reports whether s may be a client's name: Redis allows '!' to '~'.
func printable(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < '!' || c > '~' }) < 0
}

// parseInt reads a decimal number as strictly as Redis does: no sign but minus, no leading zeros, no spaces.
func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s
}

// parseIntBelow is parseInt for a number from lo to hi.
func parseIntBelow(s string, lo, hi int64) (int64, bool) {
	n, ok := parseInt(s)
	return n, ok && n >= lo && n <= hi
}
