package differ

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A speaker is a connection to a server, perhaps one that has been tampered with.
type speaker interface {
	exchange([]command) ([][]byte, error)
}

// A pair is a connection to each server.
type pair struct{ redis, nitro speaker }

// named is for what is asked of one server after the other.
func (p pair) named() map[string]speaker {
	return map[string]speaker{"redis-server": p.redis, "nitrokv": p.nitro}
}

// both sends the same commands to both servers at the same time.
func (p pair) both(commands []command) (redis, nitro [][]byte, err error) {
	var errRedis error
	done := make(chan struct{})
	go func() { // awaited below
		defer close(done)
		redis, errRedis = p.redis.exchange(commands)
	}()
	nitro, errNitro := p.nitro.exchange(commands)
	<-done
	if errRedis != nil {
		errRedis = fmt.Errorf("redis-server: %w", errRedis)
	}
	if errNitro != nil {
		errNitro = fmt.Errorf("nitrokv: %w", errNitro)
	}
	return redis, nitro, errors.Join(errRedis, errNitro)
}

// A difference is a command that the servers have answered differently.
type difference struct {
	at int // the command's number
	command
	redis, nitro []byte
}

func (d *difference) String() string {
	return fmt.Sprintf("command %d: %v\n  redis-server: %s\n  nitrokv:      %s", d.at, d.command, excerpt(d.redis), excerpt(d.nitro))
}

// A finding is a difference that is not accepted.
type finding struct {
	*difference
	short []command // what shows it on empty stores; nil if it doesn't come again
}

func (f *finding) String() string {
	var text strings.Builder
	fmt.Fprintln(&text, f.difference)
	if f.short == nil {
		text.WriteString("  The same commands on empty stores don't show it again.")
		return text.String()
	}
	text.WriteString("  On empty stores this shows it too:")
	const most = 50
	if n := len(f.short) - most; n > 0 {
		fmt.Fprintf(&text, "\n  … %d commands, and then", n)
	}
	for _, c := range f.short[max(0, len(f.short)-most):] {
		fmt.Fprintf(&text, "\n    %v", c)
	}
	return text.String()
}

func excerpt(reply []byte) string {
	if len(reply) > 300 {
		return fmt.Sprintf("%.200q…%.60q (%d bytes)", reply, reply[len(reply)-60:], len(reply))
	}
	return fmt.Sprintf("%q", reply)
}

const (
	groupSize       = 100  // commands in a pipeline
	betweenContents = 1000 // commands between two comparisons of the contents
	findingsMax     = 5    // after which a run ends
	shrinkLimit     = 10 * time.Second
)

// A contest runs the commands of a generator on both servers.
type contest struct {
	pair
	g        *generator
	known    verbs
	accepted map[string]int // how often each accepted difference was met
	history  []command      // since both stores were empty
	at       int            // commands so far
}

// newContest connects to both servers and empties them.
func newContest(t *testing.T, p pair, g *generator) *contest {
	t.Helper()
	c := &contest{pair: p, g: g, accepted: map[string]int{}}
	c.known = knownVerbs(t, p)
	if err := c.restart(); err != nil {
		t.Fatal(err)
	}
	return c
}

// prologue brings connections and stores to how they were at the beginning.
func (c *contest) prologue() []command {
	return []command{{args: []string{"RESET"}}, {args: []string{"HELLO", c.g.protocol}}, {args: []string{"FLUSHALL"}}}
}

func (c *contest) restart() error {
	c.history = nil
	_, _, err := c.both(c.prologue())
	return err
}

// run plays n commands. It returns the first differences, after each of which it starts again with empty stores.
func (c *contest) run(t *testing.T, n int) (found []*finding) {
	t.Helper()
	for next := betweenContents; c.at < n && len(found) < findingsMax; {
		d := c.play(t, c.group(groupSize))
		if d == nil && c.at >= next {
			next += betweenContents
			d = c.interlude(t)
		}
		if d == nil {
			continue
		}
		found = append(found, &finding{d, c.shorten()})
		if err := c.restart(); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// interlude is what happens between two thousands: some keys expire, and the contents are compared.
func (c *contest) interlude(t *testing.T) *difference {
	t.Helper()
	if d := c.play(t, c.g.mortals()); d != nil {
		return d
	}
	c.expire(t)
	return c.contents(t)
}

// group returns n commands of the generator, or a few more.
func (c *contest) group(n int) []command {
	var commands []command
	for len(commands) < n {
		commands = append(commands, c.g.next()...)
	}
	return commands
}

// play runs a pipeline and returns the first difference in it that isn't accepted. The history ends with it then.
func (c *contest) play(t *testing.T, commands []command) *difference {
	t.Helper()
	redis, nitro, err := c.both(commands)
	if err != nil {
		t.Fatalf("commands %d to %d: %v", c.at, c.at+len(commands)-1, err)
	}
	for i := range commands {
		c.history = append(c.history, commands[i])
		c.at++
		d := &difference{c.at - 1, commands[i], redis[i], nitro[i]}
		if c.excused(d) {
			continue
		}
		return d
	}
	return nil
}

// excused reports whether the replies are the same, or differ in a way that is accepted, which is counted.
func (c *contest) excused(d *difference) bool {
	if same(d.command, d.redis, d.nitro) {
		return true
	}
	a := accept(d, c.known)
	if a != nil {
		c.accepted[a.name]++
	}
	return a != nil
}

// shorten leaves out of the history what its last command doesn't need to show a difference.
func (c *contest) shorten() []command {
	prologue := c.prologue()
	shows := func(commands []command) bool {
		redis, nitro, err := c.both(slices.Concat(prologue, commands))
		if err != nil {
			return false
		}
		last := len(redis) - 1
		return !c.excused(&difference{0, commands[len(commands)-1], redis[last], nitro[last]})
	}
	if !shows(c.history) {
		return nil
	}
	return shrink(c.history, shows, time.Now().Add(shrinkLimit))
}

// contents compares everything that the stores hold.
func (c *contest) contents(t *testing.T) *difference {
	t.Helper()
	commands := []command{{args: []string{"KEYS", "*"}}}
	for _, k := range keyWords {
		commands = append(commands, command{args: []string{"GET", k}}, command{args: []string{"PEXPIRETIME", k}})
	}
	if d := c.play(t, commands); d != nil {
		return d
	}
	keys := elements(t, c.redis, "KEYS", "*")
	count := 1 + c.g.rng.IntN(20)
	for name, s := range c.named() {
		if walked := walk(t, s, count); !slices.Equal(walked, keys) {
			t.Errorf("command %d: a whole SCAN of %s with COUNT %d finds the keys %.40q, KEYS finds %.40q", c.at, name, count, walked, keys)
		}
		randomKeys(t, name, s, keys)
	}
	if c.g.one(5) {
		return c.size(t, keys)
	}
	return nil
}

// size compares DBSIZE with the keys that are there. It counts what has expired until that is removed, which happens at some
// time, or at once by writing and deleting it.
func (c *contest) size(t *testing.T, keys []string) *difference {
	t.Helper()
	var commands []command
	for _, k := range keyWords {
		if !slices.Contains(keys, k) {
			commands = append(commands, command{args: []string{"SET", k, ""}}, command{args: []string{"DEL", k}})
		}
	}
	if d := c.play(t, commands); d != nil {
		return d
	}
	for name, s := range c.named() {
		eventually(t, waitLimit, fmt.Sprintf("DBSIZE of %s is %d", name, len(keys)), func() bool {
			return string(ask(t, s, "DBSIZE")) == fmt.Sprintf(":%d\r\n", len(keys))
		})
	}
	return nil
}

// ask sends one command to one server.
func ask(t *testing.T, s speaker, args ...string) []byte {
	t.Helper()
	replies, err := s.exchange([]command{{args: args}})
	if err != nil {
		t.Fatalf("%.80q: %v", args, err)
	}
	return replies[0]
}

// elements returns the strings of a reply, sorted.
func elements(t *testing.T, s speaker, args ...string) []string {
	t.Helper()
	var all []string
	for _, e := range parse(ask(t, s, args...)).elems {
		all = append(all, e.text)
	}
	slices.Sort(all)
	return all
}

// walk returns the keys that a whole SCAN finds, sorted, each once.
func walk(t *testing.T, s speaker, count int) []string {
	t.Helper()
	var all []string
	for cursor := "0"; ; {
		r := parse(ask(t, s, "SCAN", cursor, "COUNT", fmt.Sprint(count)))
		if len(r.elems) != 2 {
			t.Fatalf("SCAN %s: %v", cursor, r)
		}
		for _, e := range r.elems[1].elems {
			all = append(all, e.text)
		}
		if cursor = r.elems[0].text; cursor == "0" {
			slices.Sort(all)
			return slices.Compact(all)
		}
	}
}

// randomKeys looks whether RANDOMKEY answers keys that are there.
func randomKeys(t *testing.T, name string, s speaker, keys []string) {
	t.Helper()
	for range 10 {
		r := parse(ask(t, s, "RANDOMKEY"))
		if r.null != (len(keys) == 0) || !r.null && !slices.Contains(keys, r.text) {
			t.Errorf("RANDOMKEY of %s answers %v, which is none of the %d keys", name, r, len(keys))
		}
	}
}

// mortalKeys expire between two thousands, each by another command.
var mortalKeys = keyWords[:5]

// mortals are commands that let keys expire very soon.
func (g *generator) mortals() []command {
	k := mortalKeys
	soon := fmt.Sprint(time.Now().Add(time.Duration(g.rng.IntN(20)) * time.Millisecond).UnixMilli())
	var commands []command
	for _, args := range [][]string{
		{"MSET", k[0], "a", k[1], "b", k[2], "c", k[3], "d", k[4], "e"},
		{"SET", k[0], g.value(), "PX", "1"}, {"PSETEX", k[1], "2", g.value()}, {"PEXPIRE", k[2], "3"}, {"GETEX", k[3], "PX", "5"},
		{"PEXPIREAT", k[4], soon},
	} {
		commands = append(commands, command{args: args})
	}
	return commands
}

// expire waits until both servers have forgotten the mortals.
func (c *contest) expire(t *testing.T) {
	t.Helper()
	for name, s := range c.named() {
		eventually(t, waitLimit, name+" has let keys expire", func() bool {
			return bytes.Equal(ask(t, s, append([]string{"EXISTS"}, mortalKeys...)...), []byte(":0\r\n"))
		})
	}
	for _, k := range mortalKeys {
		c.history = append(c.history, command{args: []string{"DEL", k}}) // what shrinking sends instead of waiting
	}
}
