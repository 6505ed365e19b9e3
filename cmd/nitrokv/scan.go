package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/client"
)

// scanConfig is what further options of "nitrokv scan" set.
type scanConfig struct {
	limit int64
	long  bool
}

func (c *scanConfig) options() []option {
	return []option{
		{name: "limit", arg: "N", def: "0", flag: true, set: countTo(&c.limit), help: "Stop after that many keys; 0 lists all"},
		{name: "long", def: "false", flag: true, set: boolTo(&c.long), help: "Write how long the key has left and the bytes of its value too, separated by tabs"},
	}
}

func newScan(t terminal) *cobra.Command {
	kv := kvConfig{eachRequest: true}
	var scan scanConfig
	s := &settings{options: append(scan.options(), kv.options()...)}
	return newKV(t, &kv, s, &cobra.Command{
		Use:   "scan [PATTERN]",
		Short: "List keys",
		Long: "List the keys that match a pattern (*, ?, [a-z], [^a], \\), or all, one a line and in no order. A key that can't stand in a\n" +
			"line as it is, for it has control bytes, say, is written in quotes as in Go. A key may be listed twice if others come and go\n" +
			"meanwhile. A list that ends without an error is complete. --timeout limits each request; there are as many as it takes.",
		Example: "  nitrokv scan\n  nitrokv scan 'user:*' --limit 10\n  nitrokv scan --long 'session:*'",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return scan.run(ctx, c, args, kv.timeout, t.stdout)
	})
}

// scanPage is how many keys the server is asked to look at in one request.
const scanPage = 1000

func (s *scanConfig) run(ctx context.Context, c *client.Client, args []string, timeout time.Duration, stdout io.Writer) error {
	if len(args) > 1 {
		return usage("takes one pattern, got %d; put it in quotes, so that the shell leaves it alone: nitrokv scan 'user:*'", len(args))
	}
	options := client.ScanOptions{Pattern: append(args, "")[0], Count: scanPage, Metadata: s.long, Timeout: timeout}
	if s.limit > 0 {
		options.Count = uint32(min(s.limit, scanPage))
	}
	out := bufio.NewWriter(stdout)
	n, err := s.list(ctx, c, options, out, isTerminal(stdout))
	if flushed := out.Flush(); flushed != nil {
		return usage("write to stdout: %v", flushed)
	}
	if err != nil && n > 0 {
		return fmt.Errorf("the list ends early, after %d keys: %w", n, trimPrefix(err, "nitrokv: "))
	}
	return err
}

// list writes the keys and returns how many there were.
func (s *scanConfig) list(ctx context.Context, c *client.Client, o client.ScanOptions, out *bufio.Writer, eachLine bool) (n int64, err error) {
	for e, err := range c.Scan(ctx, o) {
		if err != nil {
			return n, err
		}
		line := keyText(e.Key)
		if s.long {
			line += "\t" + leftText(e.Expires) + "\t" + strconv.Itoa(e.Size)
		}
		_, err = out.WriteString(line + "\n")
		if err == nil && eachLine {
			err = out.Flush()
		}
		if err != nil {
			return n, nil // Flush says it again
		}
		if n++; n == s.limit {
			break
		}
	}
	return n, nil
}

// keyText is the key, in quotes if it isn't a line of text or would look like one in quotes.
func keyText(key string) string {
	unprintable := func(r rune) bool { return !strconv.IsPrint(r) }
	if key == "" || key[0] == '"' || !utf8.ValidString(key) || strings.ContainsFunc(key, unprintable) {
		return strconv.Quote(key)
	}
	return key
}

// leftText is how long is left until a time, by the clock of this machine.
func leftText(at time.Time) string {
	if at.IsZero() {
		return "none"
	}
	return max(time.Until(at).Truncate(time.Millisecond), 0).String()
}
