package server

import (
	"strconv"
	"strings"

	"github.com/nitrokv/nitrokv/engine"
)

// RedisVersion is the version of Redis whose commands and texts this server follows. Clients choose by it what
// they may send; the server's own version stands beside it in INFO.
const RedisVersion = "7.2.4"

// helloRequest is what HELLO asks for.
type helloRequest struct {
	proto          engine.Protocol // ProtocolUnknown: as it is
	user, password string
	login          bool // with user and password
	name           string
	named          bool // with name
}

// hello is HELLO [protover [AUTH user password] [SETNAME name]]: it switches the protocol and describes the
// server. If any part of it fails, nothing changes, except that a right password counts.
func (r *request) hello() {
	h, ok := r.parseHello()
	if !ok || h.login && !r.login(h.user, h.password) {
		return
	}
	if r.c.ss.Locked() {
		r.fail(helloFirstText)
		return
	}
	if h.named {
		r.c.setMeta(func(m *clientMeta) { m.name = h.name })
	}
	if h.proto != engine.ProtocolUnknown {
		r.c.ss.SetProtocol(h.proto)
	}
	r.describe()
}

func (r *request) parseHello() (h helloRequest, ok bool) {
	if len(r.args) > 1 {
		n, ok := parseInt(r.args[1])
		switch {
		case !ok:
			r.fail("ERR Protocol version is not an integer or out of range")
			return h, false
		case n == 2:
			h.proto = engine.ProtocolRESP2
		case n == 3:
			h.proto = engine.ProtocolRESP3
		default:
			r.fail("NOPROTO unsupported protocol version")
			return h, false
		}
	}
	for i := 2; i < len(r.args); {
		left := len(r.args) - i - 1
		switch {
		case isWord(r.args[i], "AUTH") && left >= 2:
			h.user, h.password, h.login = r.args[i+1], r.args[i+2], true
			i += 3
		case isWord(r.args[i], "SETNAME") && left >= 1:
			h.name, h.named = r.args[i+1], true
			if !printable(h.name) {
				r.fail("ERR Client names cannot contain spaces, newlines or special characters.")
				return h, false
			}
			i += 2
		default:
			r.fail("ERR Syntax error in HELLO option '%s'", quoted(r.args[i]))
			return h, false
		}
	}
	return h, true
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

// reset puts the connection back to how it began, locked if there is a password; what the client's library said about
// itself stays, as in Redis.
func (r *request) reset() {
	r.c.setMeta(func(m *clientMeta) { m.name = "" })
	r.c.ss.SetProtocol(engine.ProtocolRESP2)
	r.c.ss.SetLevel(r.c.srv.opt.Level)
	r.c.lock()
	r.c.closeSnapshot()
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
