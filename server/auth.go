package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"sync"
	"time"

	"github.com/nitrokv/nitrokv/engine"
	"github.com/nitrokv/nitrokv/proto"
)

// Passwords
//
// With Options.Password every connection begins locked: the engine answers everything but AUTH, HELLO, QUIT and RESET by
// an error, and ends the connection at a request of more than 4 KiB or 10 arguments. AUTH, or HELLO with AUTH, unlocks
// it; RESET locks it again. What a locked connection may cost besides is bounded here and in the sweeper: lockedOutMax
// bytes of replies, and lockedTime until it has proved who it is. How guesses are slowed down stands in backoff.go; while
// one waits there the time stands still, because else four others at the same address, each a second slow, would keep
// out somebody who has the password.
//
// There is one user, the one that Redis calls "default". Of the password the server keeps a digest alone, and neither
// what was configured nor what a client has tried gets into a log, an error or INFO.

// defaultUser is the user who has the password.
const defaultUser = "default"

const (
	lockedOutMax = 64 << 10
	lockedTime   = 10 * time.Second
)

// auth decides who may use the server.
type auth struct {
	required       bool // there is a password
	user, password [sha256.Size]byte
	guard          *guard
	failures       failureLog // limits the lines about them
}

func newAuth(password Secret) auth {
	return auth{
		required: password != "",
		user:     sha256.Sum256([]byte(defaultUser)),
		password: sha256.Sum256([]byte(password)),
		guard:    newGuard(),
	}
}

// matches compares user and password in a time that depends on the length of what the client has sent, and on nothing
// else: digests have one length, and both are always compared to their end.
func (a *auth) matches(user, password []byte) bool {
	u, p := sha256.Sum256(user), sha256.Sum256(password)
	return subtle.ConstantTimeCompare(u[:], a.user[:])&subtle.ConstantTimeCompare(p[:], a.password[:]) == 1
}

// lock makes the engine demand a password of the client; the limits of a locked connection count from here.
func (c *conn) lock() {
	if !c.srv.auth.required || c.ss.Locked() {
		return
	}
	c.ss.SetLocked(true)
	c.lockedOut = c.bytesOut.Load()
	c.lockedAt.Store(c.srv.store.Now())
}

func (c *conn) unlock() {
	c.ss.SetLocked(false)
	c.lockedAt.Store(0)
}

// limitLocked ends a locked connection that has been sent too much. It is asked before the chunk's replies leave.
func (c *conn) limitLocked(ch *engine.Chunk) {
	out := c.bytesOut.Load() - c.lockedOut + uint64(len(ch.Out()))
	if out <= lockedOutMax {
		return
	}
	c.over, c.linger = true, true
	c.srv.log.Debug("closing a client that goes on without authenticating", "client", c.id,
		"addr", c.nc.RemoteAddr().String(), "reply_bytes", out)
}

// login judges what a client has given as user and password, and unlocks the connection if it is right. Failures of
// others at the same address may make it wait; the replies before go out first. Every error but errWrongPassword ends
// the connection, and errConnectionOver does so without an answer.
func (c *conn) login(fd uintptr, ch *engine.Chunk, user, password []byte) error {
	right := c.srv.auth.matches(user, password)
	if !c.deliver(fd, ch, nil) {
		return errConnectionOver
	}
	err := c.judge(right)
	switch {
	case err == nil:
		c.unlock()
	case errors.Is(err, errWrongPassword):
		c.srv.loginFailed(c)
	default:
		c.over, c.linger = true, true
	}
	return err
}

// judge waits for the guard's judgement. Of a locked connection's time only what is left before the wait is left after
// it; a right password makes an end of it anyway.
func (c *conn) judge(right bool) error {
	ctx, unblock := c.blockOn(context.Background())
	defer unblock()
	c.guessing.Store(true)
	defer c.guessing.Store(false)
	since, begin := c.lockedAt.Swap(0), c.srv.store.Now()
	err := c.srv.auth.guard.judge(ctx, sourceOf(c.nc.RemoteAddr()), right)
	if since != 0 {
		c.lockedAt.Store(since + c.srv.store.Now() - begin)
	}
	if errors.Is(err, context.Canceled) {
		return c.unjudged()
	}
	return err
}

// unjudged is why a wait was ended from outside: by a kill, which nobody is told of, by Shutdown, or by the sweeper.
func (c *conn) unjudged() error {
	switch reasons := c.wakes.Load(); {
	case reasons&wakeKill != 0:
		return errConnectionOver
	case reasons&wakeShutdown != 0:
		return errShutDownUnjudged
	}
	return errHungUpUnjudged
}

// lookGuessing ends a wait for judgement whose client has gone, so that it doesn't hold a place in the queue. A client
// that has closed only its sending half looks the same: it is told that it must not.
func (c *conn) lookGuessing() {
	gone := false
	err := c.rc.Control(func(fd uintptr) { gone = hungUp(fd) })
	if err == nil && gone {
		c.interrupt()
	}
}

var (
	errConnectionOver   = errors.New("server: the connection is over")
	errShutDownUnjudged = errors.New("server: it was shut down before an attempt to authenticate was judged")
	errHungUpUnjudged   = errors.New("server: a client has gone before its attempt to authenticate was judged")
)

// The answers to a login that fails, in Redis's words, and in our own where Redis has none.
const (
	wrongPassText = "WRONGPASS invalid username-password pair or user is disabled."
	noPassText    = "ERR AUTH <password> called without any password configured for the default user. " +
		"Are you sure your configuration is correct?"
	tooManyText  = "too many attempts to authenticate are waiting after failed ones: try again later"
	shutDownText = "the attempt to authenticate was not judged, because the server is shutting down: connect again later"
	hungUpText   = "the attempt to authenticate was not judged: after failed ones at this address it has to wait, and " +
		"the client has closed the connection, or its half of it, meanwhile: keep it open until the answer"
	helloFirstText = "NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
		"HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and " +
		"select the RESP protocol version at the same time"
)

// auth is AUTH [user] password.
func (r *request) auth() {
	if len(r.args) > 3 {
		r.syntaxError()
		return
	}
	user := defaultUser
	if len(r.args) == 3 {
		user = r.args[1]
	}
	if r.login(user, r.args[len(r.args)-1]) {
		r.ok()
	}
}

// login answers the error unless user and password are right. A client that sends a password to a server without one
// believes that there is one: it is told so even for the default user, to whom Redis would say OK.
func (r *request) login(user, password string) bool {
	if !r.c.srv.auth.required {
		if user == defaultUser {
			r.fail(noPassText)
		} else {
			r.fail(wrongPassText)
		}
		return false
	}
	err := r.c.login(r.fd, r.ch, []byte(user), []byte(password))
	switch {
	case errors.Is(err, errWrongPassword):
		r.fail(wrongPassText)
	case errors.Is(err, errTooManyGuesses):
		r.fail("ERR %s", tooManyText)
	case errors.Is(err, errShutDownUnjudged):
		r.fail("ERR %s", shutDownText)
	case errors.Is(err, errHungUpUnjudged):
		r.fail("ERR %s", hungUpText)
	}
	return err == nil
}

// binaryAuth is AUTH: user string, which may be empty, and password string.
func (c *conn) binaryAuth(fd uintptr, ch *engine.Chunk, meta proto.Meta, flags proto.Flags) hostAnswer {
	refuse := func(s proto.Status, text string) hostAnswer {
		return hostAnswer{reply: proto.AppendErrorReply(nil, meta, s, text)}
	}
	user, rest, ok := cutString(ch.HostArg(0))
	password, rest, ok2 := cutString(rest)
	switch {
	case !ok || !ok2 || len(rest) > 0:
		return refuse(proto.EFRAME, "AUTH must be user string, password string")
	case !c.srv.auth.required:
		return refuse(proto.EARGUMENT, "this server has no password: connect without one")
	case len(user) == 0:
		user = []byte(defaultUser)
	}
	err := c.login(fd, ch, user, password)
	switch {
	case err == nil:
		return quietly(hostAnswer{reply: proto.AppendReply(nil, meta, proto.OK, "")}, flags)
	case errors.Is(err, errWrongPassword):
		return refuse(proto.EAUTHFAILED, "")
	case errors.Is(err, errTooManyGuesses):
		return refuse(proto.EBUSY, tooManyText)
	case errors.Is(err, errShutDownUnjudged):
		return refuse(proto.ESHUTDOWN, shutDownText)
	case errors.Is(err, errHungUpUnjudged):
		return refuse(proto.EBUSY, hungUpText)
	}
	return hostAnswer{}
}

// failureLog keeps an attack from filling the log.
type failureLog struct {
	mu   sync.Mutex // guards the fields below; a leaf
	last time.Time  // of the newest line
	kept int        // failures since then
}

// failureLogEvery is how often failed logins get a line, at most.
const failureLogEvery = time.Second

// add counts a failure; say tells whether it gets a line, and since how many there were since the last, itself included.
func (l *failureLog) add(now time.Time) (since int, say bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept++
	if now.Sub(l.last) < failureLogEvery {
		return 0, false
	}
	since, l.kept, l.last = l.kept, 0, now
	return since, true
}

// loginFailed counts and reports a wrong user or password. Neither is shown: people type passwords where the user belongs.
func (s *Server) loginFailed(c *conn) {
	s.total.denied.Add(1)
	if since, say := s.auth.failures.add(time.Now()); say {
		s.log.Warn("wrong user or password", "addr", c.nc.RemoteAddr().String(), "client", c.id,
			"failures_since_last_line", since)
	}
}

// cutLocked ends a connection that has been locked for too long, unless it has authenticated, or begun to wait for
// judgement, at the last moment.
func (c *conn) cutLocked() {
	if c.lockedAt.Load() == 0 {
		return
	}
	c.srv.log.Debug("closing a client that has not authenticated in time", "client", c.id,
		"addr", c.nc.RemoteAddr().String(), "limit", lockedTime)
	c.wake(wakeKill)
}
