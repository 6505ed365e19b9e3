package server

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nitrokv/nitrokv/proto"
)

const testPassword = "tr0ub4dor&3"

// startLocked serves with a password; change prepares the server, nil if it needn't.
func startLocked(t *testing.T, change func(*Server)) *Server {
	t.Helper()
	s, err := New(Options{Listen: []string{"127.0.0.1:0"}, MaxClients: 500, Password: testPassword})
	must(t, err)
	if change != nil {
		change(s)
	}
	serve(t, s)
	return s
}

// unhurried turns the waits after wrong passwords off, for tests that send many.
func unhurried(s *Server) { s.auth.guard.first, s.auth.guard.most = 0, 0 }

// endless makes the wait after wrong passwords one that no test sits out.
func endless(s *Server) { s.auth.guard.first, s.auth.guard.most = time.Hour, time.Hour }

// dialOpen is a connection that has given the password.
func dialOpen(t *testing.T, s *Server) *client {
	t.Helper()
	c := dial(t, s)
	c.check(status("OK"), "AUTH", testPassword)
	return c
}

const noAuth = "-NOAUTH Authentication required.\r\n"

// authDialogues are what clients say to a server with a password, and the answers of Redis 7.2. HELLO's description of the
// server is cut to its first line.
var authDialogues = map[string][][2]string{
	"locked": {{"PING", noAuth}, {"GET k", noAuth}, {"SET k v", noAuth}, {"INFO", noAuth}, {"CLIENT LIST", noAuth},
		{"CONFIG GET *", noAuth}, {"COMMAND", noAuth}, {"SELECT 0", noAuth}, {"FLUSHALL", noAuth}, {"DBSIZE", noAuth},
		{"WAITAOF 0 0 0", noAuth}},
	"errors are told": {{"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
		{"AUTH", "-ERR wrong number of arguments for 'auth' command\r\n"}, {"AUTH a b c", "-ERR syntax error\r\n"}},
	"password":          {{"AUTH " + testPassword, "+OK\r\n"}, {"PING", "+PONG\r\n"}},
	"user and password": {{"auth default " + testPassword, "+OK\r\n"}, {"PING", "+PONG\r\n"}},
	"wrong": {{"AUTH x", wrongPass}, {"AUTH default x", wrongPass}, {"AUTH bob " + testPassword, wrongPass},
		{"AUTH DEFAULT " + testPassword, wrongPass}, {"AUTH " + testPassword + "x", wrongPass},
		{"AUTH " + testPassword[1:], wrongPass}, {"PING", noAuth}},
	"wrong on an open connection": {{"AUTH " + testPassword, "+OK\r\n"}, {"AUTH x", wrongPass}, {"PING", "+PONG\r\n"},
		{"HELLO 2 AUTH default x", wrongPass}, {"PING", "+PONG\r\n"}},
	"RESET locks": {{"AUTH " + testPassword, "+OK\r\n"}, {"RESET", "+RESET\r\n"}, {"PING", noAuth},
		{"AUTH " + testPassword, "+OK\r\n"}, {"PING", "+PONG\r\n"}},
	"QUIT": {{"QUIT", "+OK\r\n"}},
	"HELLO": {{"HELLO", helloFirst}, {"HELLO 3", helloFirst}, {"HELLO 2 SETNAME me", helloFirst},
		{"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
		{"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
		{"HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
		{"HELLO 3 AUTH default x", wrongPass}, {"HELLO 3 AUTH bob " + testPassword, wrongPass},
		{"HELLO 3 AUTH default " + testPassword + " WHAT", "-ERR Syntax error in HELLO option 'WHAT'\r\n"},
		{"HELLO 3 AUTH default " + testPassword + " SETNAME \"a b\"",
			"-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
		{"PING", noAuth}},
	"HELLO 2 with AUTH": {{"HELLO 2 AUTH default " + testPassword, "*14\r\n"}, {"GET k", "$-1\r\n"},
		{"CLIENT GETNAME", "$-1\r\n"}},
	"HELLO 3 with AUTH": {{"HELLO 3 AUTH default " + testPassword + " SETNAME me", "%7\r\n"}, {"CLIENT GETNAME", "$2\r\n"},
		{"GET k", "_\r\n"}, {"AUTH x", wrongPass}, {"RESET", "+RESET\r\n"}, {"PING", noAuth}},
	"AUTH, then HELLO 3": {{"AUTH default " + testPassword, "+OK\r\n"}, {"HELLO 3", "%7\r\n"}, {"GET k", "_\r\n"}},
}

const (
	wrongPass  = "-" + wrongPassText + "\r\n"
	helloFirst = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the " +
		"HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and " +
		"select the RESP protocol version at the same time\r\n"
)

func TestAuthDialogues(t *testing.T) {
	s := startLocked(t, unhurried)
	for name, lines := range authDialogues {
		t.Run(name, func(t *testing.T) {
			inline, array := dial(t, s), dial(t, s)
			for _, l := range lines {
				inline.dialogue(l[0]+"\r\n", l[1])
				array.dialogue(resp(words(l[0])...), l[1])
			}
		})
	}
}

// words splits a line of the table; quotes only keep words together.
func words(line string) []string {
	quoted := strings.Split(line, `"`)
	out := strings.Fields(quoted[0])
	if len(quoted) > 1 {
		out = append(out, quoted[1])
	}
	return out
}

// dialogue sends in, and reads one reply that begins with want.
func (c *client) dialogue(in, want string) {
	c.t.Helper()
	c.ask(in, want)
	var n int
	if _, err := fmt.Sscanf(want, "*%d", &n); err != nil {
		if _, err = fmt.Sscanf(want, "%%%d", &n); err == nil {
			n *= 2
		}
	}
	for range n {
		_, err := readReply(c.br)
		must(c.t, err)
	}
	if _, err := fmt.Sscanf(want, "$%d", &n); err == nil && n >= 0 {
		_, err := c.br.Discard(n + 2)
		must(c.t, err)
	}
}

// TestAuthInAPipeline: what stands behind an AUTH is judged after it, and nothing before.
func TestAuthInAPipeline(t *testing.T) {
	s := startLocked(t, nil)
	value := strings.Repeat("v", 100_000) // more than a locked connection may send
	dial(t, s).ask("PING\r\n"+resp("AUTH", testPassword)+resp("SET", "k", value)+resp("STRLEN", "k")+"RESET\r\nPING\r\n",
		noAuth+"+OK\r\n+OK\r\n:100000\r\n+RESET\r\n"+noAuth)
}

func TestBinaryAuth(t *testing.T) {
	s := startLocked(t, unhurried)
	c := dial(t, s)
	r := proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	try := func(user, password string, want proto.Status) {
		t.Helper()
		frame := proto.AppendAuth(nil, proto.Meta{ID: 7}, proto.Auth{User: user, Password: password})
		if m := askBinary(t, c, r, frame, want); m.ID != 7 {
			t.Errorf("the reply is to %d", m.ID)
		}
	}
	none := proto.Meta{}
	refused := [][]byte{proto.AppendGet(nil, none, "k"), proto.AppendSet(nil, none, "k", "v"), proto.AppendNoop(nil, none),
		proto.AppendStats(nil, none, ""), proto.AppendFlush(nil, none), proto.AppendSync(nil, none), proto.AppendCount(nil, none)}
	for _, frame := range refused {
		askBinary(t, c, r, frame, proto.EAUTHREQUIRED)
	}
	askBinary(t, c, r, proto.AppendHello(nil, proto.Meta{}, proto.Hello{Min: 1, Max: 1, Name: "me"}), proto.OK)
	askBinary(t, c, r, refused[0], proto.EAUTHREQUIRED)
	try("default", "x", proto.EAUTHFAILED)
	try("bob", testPassword, proto.EAUTHFAILED)
	try("", "", proto.EAUTHFAILED)
	askBinary(t, c, r, refused[0], proto.EAUTHREQUIRED)
	try("default", testPassword, proto.OK)
	askBinary(t, c, r, refused[0], proto.ENOTFOUND)
	try("default", "x", proto.EAUTHFAILED) // an open connection stays open
	askBinary(t, c, r, refused[0], proto.ENOTFOUND)
	quiet := proto.AppendAuth(nil, proto.Meta{ID: 1, Flags: proto.FlagQuiet}, proto.Auth{Password: testPassword})
	if m := askBinary(t, c, r, proto.AppendNoop(quiet, proto.Meta{ID: 2}), proto.OK); m.ID != 2 {
		t.Errorf("a reply to %d, want the fence's", m.ID)
	}

	c = dial(t, s)
	r = proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	frame := proto.AppendAuth(nil, proto.Meta{}, proto.Auth{User: "default", Password: testPassword})
	for _, change := range []int{-1, +1} { // the body a byte too short, or too long
		odd := append(slices.Clone(frame), 'x')[:len(frame)+change]
		odd[5] += byte(change)
		askBinary(t, c, r, odd, proto.EFRAME)
	}
	askBinary(t, c, r, refused[0], proto.EAUTHREQUIRED)
	try("", testPassword, proto.OK)

	c = dial(t, start(t, Options{}))
	r = proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	m := askBinary(t, c, r, proto.AppendAuth(nil, none, proto.Auth{Password: "x"}), proto.EARGUMENT)
	if !strings.Contains(string(m.Body), "no password") {
		t.Errorf("AUTH without a password to compare: %q", m.Body)
	}
}

func TestCutString(t *testing.T) {
	for in, want := range map[string]string{
		"\x00\x00": "|", "\x02\x00ab": "ab|", "\x01\x00abc": "a|bc", "": "no", "\x01": "no", "\x02\x00a": "no", "\xff\xff": "no",
	} {
		text, rest, ok := cutString([]byte(in))
		got := string(text) + "|" + string(rest)
		if !ok {
			got = "no"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestLockedLimits: a connection that has not given the password is closed when it sends more than it takes to give it.
func TestLockedLimits(t *testing.T) {
	s := startLocked(t, nil)
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct{ in, want string }{
		"arguments":     {resp(slices.Repeat([]string{"x"}, 11)...), "-ERR Protocol error: unauthenticated multibulk length\r\n"},
		"bulk":          {resp("AUTH", long), "-ERR Protocol error: unauthenticated bulk length\r\n"},
		"announced":     {"*2\r\n$4\r\nAUTH\r\n$536870912\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
		"line":          {"AUTH " + long + "\r\n", "-ERR Protocol error: too big inline request\r\n"},
		"unfinished":    {long, "-ERR Protocol error: too big inline request\r\n"},
		"words":         {strings.Repeat("x ", 11) + "\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
		"after an AUTH": {resp("AUTH", "wrong") + resp("AUTH", long), wrongPass + "-ERR Protocol error: unauthenticated bulk length\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			n := dial(t, s)
			n.ask(c.in, c.want)
			n.expectEnd()
		})
	}
	again := dialOpen(t, s)
	again.check(status("RESET"), "RESET")
	again.ask(resp("AUTH", long), "-ERR Protocol error: unauthenticated bulk length\r\n")
	again.expectEnd()

	// The same is no limit for those who have given it.
	c := dialOpen(t, s)
	c.check(status("OK"), "SET", "k", long)
	c.check(int64(0), append([]string{"EXISTS"}, slices.Repeat([]string{"x"}, 20)...)...)
}

func TestLockedFrames(t *testing.T) {
	s := startLocked(t, nil)
	frame := proto.AppendSet(nil, proto.Meta{ID: 1}, "k", strings.Repeat("x", 5000))
	pieces := proto.AppendSet(nil, proto.Meta{ID: 1}, "k", "v")
	pieces[4] |= byte(proto.FlagMore)
	for name, in := range map[string][]byte{
		"too long":      frame,
		"only its head": frame[:8],
		"in pieces":     pieces,
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			askBinary(t, c, proto.NewReader(c.br, proto.KindReply, proto.Limits{}), in, proto.ELIMIT)
			c.expectEnd()
		})
	}
}

// TestLockedOutput: errors are not sent for ever.
func TestLockedOutput(t *testing.T) {
	s := startLocked(t, nil)
	for name, in := range map[string]string{"requests": "PING\r\n", "unknown ones": "X\r\n", "arrays": resp("HELLO")} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s)
			go func() { _, _ = c.Write([]byte(strings.Repeat(in, 20_000))) }() // it fails when the server closes, as it must
			got := 0
			buf := make([]byte, 64<<10)
			for {
				n, err := c.br.Read(buf)
				got += n
				if err != nil {
					break
				}
			}
			if got < lockedOutMax/2 || got > lockedOutMax+1024 {
				t.Errorf("%d bytes came, the limit is %d", got, lockedOutMax)
			}
		})
	}
	// It counts again from zero after a RESET, and not at all on an open connection.
	c := dialOpen(t, s)
	c.ask(strings.Repeat("PING\r\n", 20_000), strings.Repeat("+PONG\r\n", 20_000))
	c.ask("RESET\r\nPING\r\n", "+RESET\r\n"+noAuth)
}

// find returns the server's side of a client.
func (s *Server) find(t *testing.T, c *client) *conn {
	t.Helper()
	for _, sc := range s.snapshot() {
		if sc.nc.RemoteAddr().String() == c.LocalAddr().String() {
			return sc
		}
	}
	t.Fatal("the server doesn't know the client")
	return nil
}

// TestLockedTime: a locked connection is cut when its time is over; the time is moved to the past.
func TestLockedTime(t *testing.T) {
	s := startLocked(t, nil)
	silent, halfway, reset, open := dial(t, s), dial(t, s), dial(t, s), dialOpen(t, s)
	locked := []*client{silent, halfway, reset}
	waitFor(t, "all connections", func() bool { return s.connected() == len(locked)+1 })
	halfway.send("*2\r\n$4\r\nAUTH\r\n$11\r\ntr0ub")
	reset.ask(resp("AUTH", testPassword)+resp("RESET"), "+OK\r\n+RESET\r\n")
	if s.find(t, open).lockedAt.Load() != 0 {
		t.Error("the connection with the password counts as locked")
	}
	for _, c := range locked {
		sc := s.find(t, c)
		waitFor(t, "the lock", func() bool { return sc.lockedAt.Load() != 0 })
		if since := s.store.Now() - sc.lockedAt.Load(); since < 0 || since > patience.Milliseconds() {
			t.Errorf("locked since %d ms", since)
		}
		sc.lockedAt.Add(-lockedTime.Milliseconds())
	}
	for _, c := range locked {
		c.expectEnd()
	}
	open.check(status("PONG"), "PING")
}

// holdTurn makes the guesses of 127.0.0.1 queue until release is called, which lets them through without a wait.
func holdTurn(t *testing.T, s *Server) (release func()) {
	t.Helper()
	c := dialOpen(t, s)
	for range guessesFree {
		c.check(respError(wrongPassText), "AUTH", "wrong")
	}
	g := s.auth.guard
	g.mu.Lock()
	defer g.mu.Unlock()
	from := g.sources[netip.MustParseAddr("127.0.0.1")]
	from.turn <- struct{}{}
	return func() {
		g.mu.Lock()
		g.first, g.most, from.next = 0, 0, time.Time{}
		g.mu.Unlock()
		<-from.turn
	}
}

// TestLockedTimeStandsStill while a guess waits its turn: the right password counts however long others kept it waiting,
// a wrong one leaves as much time as there was.
func TestLockedTimeStandsStill(t *testing.T) {
	s := startLocked(t, func(s *Server) {
		endless(s)
		s.sweepEvery = time.Hour // it is swept by hand
	})
	open, right, wrong := dialOpen(t, s), dial(t, s), dial(t, s)
	release := holdTurn(t, s)
	waitFor(t, "the locks", func() bool {
		return s.find(t, right).lockedAt.Load() != 0 && s.find(t, wrong).lockedAt.Load() != 0
	})
	s.find(t, right).lockedAt.Add(-2 * lockedTime.Milliseconds())
	before := s.find(t, wrong).lockedAt.Load()
	right.send(resp("AUTH", testPassword))
	wrong.send(resp("AUTH", "wrong"))
	open.send(resp("AUTH", "wrong"))
	waitFor(t, "the guesses that wait", func() bool { return s.auth.guard.queued() == 3 })
	queued := s.store.Now()
	waitFor(t, "the clock", func() bool { return s.store.Now() >= queued+20 })
	s.sweepOnce(nil)
	waited := s.store.Now() - queued
	release()
	right.expect("+OK\r\n")
	right.check(status("PONG"), "PING")
	wrong.expect(wrongPass)
	open.expect(wrongPass)
	if at := s.find(t, wrong).lockedAt.Load(); at < before+waited || at > s.store.Now() {
		t.Errorf("locked since %d before the wait, since %d after one of %d ms", before, at, waited)
	}
	if s.find(t, right).lockedAt.Load() != 0 || s.find(t, open).lockedAt.Load() != 0 {
		t.Error("a connection with the password counts as locked")
	}
	s.find(t, wrong).lockedAt.Add(-lockedTime.Milliseconds())
	s.sweepOnce(nil)
	wrong.expectEnd()
	open.check(status("PONG"), "PING")
}

// TestGuessesOfTheGone: a client that has gone gives its place in the queue back, whatever it has left unread.
func TestGuessesOfTheGone(t *testing.T) {
	s := startLocked(t, endless)
	open := dialOpen(t, s)
	for range guessesFree {
		open.check(respError(wrongPassText), "AUTH", "wrong")
	}
	gone := make([]*client, guessesWaiting-1)
	for i := range gone {
		gone[i] = dial(t, s)
		gone[i].send(resp("AUTH", "wrong"))
	}
	stays := dial(t, s)
	stays.send(resp("AUTH", testPassword))
	waitFor(t, "the queue to be full", func() bool { return s.auth.guard.queued() == guessesWaiting })
	for i, c := range gone {
		if i%2 == 0 {
			c.send("PING\r\n") // in front of the end of the stream
		}
		must(t, c.Close())
	}
	waitFor(t, "the gone to be noticed", func() bool { return s.auth.guard.queued() == 1 })
	stays.send("PING\r\n") // unread input is no end of the stream; the sweeper looks before the answers below come

	// Who has closed only one half is told.
	text, binary := dial(t, s), dial(t, s)
	text.send(resp("AUTH", testPassword))
	must(t, text.CloseWrite())
	text.expect("-ERR " + hungUpText + "\r\n")
	text.expectEnd()
	r := proto.NewReader(binary.br, proto.KindReply, proto.Limits{})
	binary.send(string(proto.AppendAuth(nil, proto.Meta{}, proto.Auth{Password: testPassword})))
	must(t, binary.CloseWrite())
	expectRefusal(t, r, proto.EBUSY, hungUpText)
	binary.expectEnd()
	if n := s.auth.guard.queued(); n != 1 {
		t.Errorf("%d wait: who is still there has to stay", n)
	}
	open.check(status("PONG"), "PING")
}

// TestResetDoesNotProlong what a connection that never had the password may do.
func TestResetDoesNotProlong(t *testing.T) {
	s := startLocked(t, nil)
	c := dial(t, s)
	c.check(status("RESET"), "RESET")
	sc := s.find(t, c)
	sc.lockedAt.Add(-lockedTime.Milliseconds() / 2)
	before, out := sc.lockedAt.Load(), sc.lockedOut
	c.check(status("RESET"), "RESET")
	c.check(status("RESET"), "RESET")
	if sc.lockedAt.Load() != before || sc.lockedOut != out {
		t.Error("RESET made the time or the output count from now")
	}
}

// TestFailuresAreForgotten by the sweeper, when they are old.
func TestFailuresAreForgotten(t *testing.T) {
	s := startLocked(t, nil)
	c := dial(t, s)
	c.check(respError(wrongPassText), "AUTH", "wrong")
	g := s.auth.guard
	if g.known() != 1 {
		t.Errorf("%d addresses have failed", g.known())
	}
	g.mu.Lock()
	for _, from := range g.sources {
		from.last = from.last.Add(-guessesForget)
	}
	g.mu.Unlock()
	waitFor(t, "the sweeper to forget", func() bool { return g.known() == 0 })
}

// TestWrongPasswordsAreSlow, as the client sees it. Only a lower bound holds on every machine.
func TestWrongPasswordsAreSlow(t *testing.T) {
	const first = 100 * time.Millisecond
	s := startLocked(t, func(s *Server) { s.auth.guard.first, s.auth.guard.most = first, 2*first })
	begin := time.Now()
	for i := range guessesFree + 2 {
		dial(t, s).check(respError(wrongPassText), "AUTH", fmt.Sprint("guess", i))
	}
	dialOpen(t, s)
	if d := time.Since(begin); d < first+2*first+2*first {
		t.Errorf("%d guesses took %v", guessesFree+3, d)
	}
}

// TestWaitingGuess: only its own connection waits, what stood before it is answered, and kill and shutdown end it, the latter
// with an answer.
func TestWaitingGuess(t *testing.T) {
	s := startLocked(t, endless)
	open, again := dialOpen(t, s), dialOpen(t, s)
	for range guessesFree {
		open.check(respError(wrongPassText), "AUTH", "wrong")
	}
	waiting := func(n int) func() bool { return func() bool { return s.auth.guard.queued() == n } }
	killed, left, binary := dial(t, s), dial(t, s), dial(t, s)
	killed.ask("PING\r\nAUTH "+testPassword+"\r\nPING\r\n", noAuth)
	left.ask("HELLO\r\nHELLO 3 AUTH default "+testPassword+"\r\n", helloFirst)
	binary.send(string(proto.AppendAuth(nil, proto.Meta{}, proto.Auth{Password: testPassword})))
	again.ask("PING\r\nAUTH "+testPassword+"\r\n", "+PONG\r\n")
	waitFor(t, "four guesses that wait", waiting(4))
	open.check(status("PONG"), "PING")
	open.check(int64(1), "CLIENT", "KILL", "ADDR", killed.LocalAddr().String())
	killed.expectEnd()
	waitFor(t, "the killed one's end", waiting(3))
	must(t, s.Shutdown(context.Background()))
	left.expect("-ERR " + shutDownText + "\r\n")
	again.expect("-ERR " + shutDownText + "\r\n")
	expectRefusal(t, proto.NewReader(binary.br, proto.KindReply, proto.Limits{}), proto.ESHUTDOWN, shutDownText)
	for _, c := range []*client{left, binary, again} {
		c.expectEnd()
	}
}

// expectRefusal reads an answer to a binary request that was sent before.
func expectRefusal(t *testing.T, r *proto.Reader, want proto.Status, text string) {
	t.Helper()
	m, err := r.Next()
	must(t, err)
	if m.Status() != want || !strings.Contains(string(m.Body), text) {
		t.Errorf("status %v %q, want %v %q", m.Status(), m.Body, want, text)
	}
}

// TestTooManyGuessesWait: one more than may wait is refused and closed, in both protocols.
func TestTooManyGuessesWait(t *testing.T) {
	s := startLocked(t, endless)
	open := dialOpen(t, s)
	for range guessesFree {
		open.check(respError(wrongPassText), "AUTH", "wrong")
	}
	for range guessesWaiting {
		dial(t, s).send(resp("AUTH", testPassword))
	}
	waitFor(t, "the queue to be full", func() bool { return s.auth.guard.queued() == guessesWaiting })
	c := dial(t, s)
	c.ask(resp("AUTH", testPassword)+"PING\r\n", "-ERR "+tooManyText+"\r\n")
	c.expectEnd()
	c = dial(t, s)
	r := proto.NewReader(c.br, proto.KindReply, proto.Limits{})
	askBinary(t, c, r, proto.AppendAuth(nil, proto.Meta{}, proto.Auth{Password: testPassword}), proto.EBUSY)
	c.expectEnd()
	open.check(status("PONG"), "PING")
}
