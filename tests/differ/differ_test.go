package differ

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// commandsAtFull is how many commands a run has in each version of RESP.
const commandsAtFull = 60_000

// percent is the length of a random test: NK_TEST_PERCENT, or 100.
func percent(t *testing.T) int {
	t.Helper()
	text := os.Getenv("NK_TEST_PERCENT")
	if text == "" {
		return 100
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("NK_TEST_PERCENT is %q; it must be a positive number", text)
	}
	return n
}

// seed is NK_SEED; without it the same in every ordinary run, and drawn for long ones.
func seed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(1)
	if percent(t) > 100 {
		seed = rand.Uint64()
	}
	if text := os.Getenv("NK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("NK_SEED is %q; it must be a number", text)
		}
	}
	t.Logf("NK_SEED=%d makes the same commands", seed)
	return seed
}

// Both servers answer the same to whatever the generator sends.
func TestRandomCommands(t *testing.T) {
	first, n := seed(t), commandsAtFull*percent(t)/100
	redis, nitro := startRedis(t), startNitro(t)
	for i, protocol := range []string{"2", "3"} {
		t.Run("RESP"+protocol, func(t *testing.T) {
			c := newContest(t, pair{redis.dial(t), nitro.dial(t)}, newGenerator(first+uint64(i), protocol))
			for _, d := range c.run(t, n) {
				t.Error(d)
			}
			t.Logf("%d commands; accepted differences: %v", c.at, c.accepted)
		})
	}
}

// A value that was just set has the same encoding on both sides; random commands alone could not tell, because how a value
// was made is an accepted difference.
func TestEncodingOfFreshValues(t *testing.T) {
	redis, nitro := startRedis(t), startNitro(t)
	p := pair{redis.dial(t), nitro.dial(t)}
	g := newGenerator(1, "2")
	values := slices.Concat(integerWords, floatWords)
	for n := range 100 {
		values = append(values, g.cut(n))
	}
	var commands []command
	for _, v := range values {
		commands = append(commands, command{args: []string{"SET", "k", v}}, command{args: []string{"OBJECT", "ENCODING", "k"}})
	}
	fromRedis, fromNitro, err := p.both(commands)
	if err != nil {
		t.Fatal(err)
	}
	for i := range commands {
		if string(fromRedis[i]) != string(fromNitro[i]) {
			t.Errorf("after %v: %v", commands[max(0, i-1)], &difference{i, commands[i], fromRedis[i], fromNitro[i]})
		}
	}
}

// What breaks the framing gets the same error, and the connection is closed.
func TestProtocolErrors(t *testing.T) {
	redis, nitro := startRedis(t), startNitro(t)
	for _, request := range []string{
		"*x\r\n", "*1x\r\n", "*-2\r\nPING\r\n", "*0\r\nPING\r\n", "*1\r\nPING\r\n", "*1\r\n$x\r\n", "*1\r\n$-1\r\n",
		"*1\r\n$4x\r\n", "*1\r\n:4\r\n", "*2\r\n$4\r\nECHO\r\n+x\r\n", "GET \"k\r\n", "GET 'k\r\n", "GET \"k\"x\r\n",
		"SET k \"a\\x4", "\r\n\r\nPING\r\n", "  PING  \r\n", "PING\nPING\n", "PING \"\"\r\n", "ECHO 'it\\'s'\r\n",
		"ECHO \"\\x41\\n\\\"\\a\"\r\n", "ECHO \\x41\r\n", "PING\tx\r\n",
	} {
		t.Run(fmt.Sprintf("%.30q", request), func(t *testing.T) {
			a, b := lastWords(t, redis, request), lastWords(t, nitro, request)
			if a != b {
				t.Errorf("redis-server: %q\nnitrokv:      %q", a, b)
			}
		})
	}
}

// lastWords sends bytes on a connection of their own and returns all that comes back.
func lastWords(t *testing.T, s *server, request string) string {
	t.Helper()
	c := s.dial(t)
	if err := c.SetDeadline(time.Now().Add(exchangeLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatalf("sending to %s: %v", s.name, err)
	}
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatalf("closing the way to %s: %v", s.name, err)
	}
	reply, err := io.ReadAll(c.in)
	if err != nil {
		t.Fatalf("reading from %s, after %q: %v", s.name, reply, err)
	}
	return string(reply)
}
