package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nitrokv/nitrokv/client"
)

func newIncr(t terminal) *cobra.Command {
	var kv kvConfig
	s := &settings{options: kv.options()}
	return newKV(t, &kv, s, &cobra.Command{
		Use:   "incr KEY [DELTA]",
		Short: "Add to a number",
		Long: "Add DELTA to the number in a key, 1 if there is none, and write the result. A missing key counts as 0. A whole DELTA adds to\n" +
			"a whole number of 64 bits; one with a point or an exponent to any decimal number.",
		Example: "  nitrokv incr visits\n  nitrokv incr stock -5\n  nitrokv incr balance 0.25",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return incr(ctx, c, args, t.stdout)
	})
}

func newTTL(t terminal) *cobra.Command {
	var kv kvConfig
	s := &settings{options: kv.options()}
	return newKV(t, &kv, s, &cobra.Command{
		Use:   "ttl KEY",
		Short: "Show how long a key has left",
		Long: "Write how long a key has left, for example 59m58.2s, or none if it does not expire. The exit status is 1 if there is no such\n" +
			"key.",
		Example: "  nitrokv ttl session",
	}, func(ctx context.Context, c *client.Client, args []string) error {
		return ttl(ctx, c, args, t.stdout)
	})
}

func newExpire(t terminal) *cobra.Command {
	var kv kvConfig
	s := &settings{options: kv.options()}
	return newKV(t, &kv, s, &cobra.Command{
		Use:     "expire KEY DURATION | expire KEY none",
		Short:   "Let a key expire",
		Long:    "Let a key expire after a time, or never. The exit status is 1 if there is no such key.",
		Example: "  nitrokv expire session 30m\n  nitrokv expire session none",
	}, expire)
}

func incr(ctx context.Context, c *client.Client, args []string, stdout io.Writer) error {
	if len(args) != 1 && len(args) != 2 {
		return usage("needs a key and perhaps a number, got %d operands; write: nitrokv incr KEY [DELTA]", len(args))
	}
	key, delta := args[0], append(args, "1")[1]
	whole, err := strconv.ParseInt(delta, 10, 64)
	var sum string
	switch {
	case err == nil:
		var n int64
		n, err = c.Incr(ctx, key, whole)
		sum = strconv.FormatInt(n, 10)
	case errors.Is(err, strconv.ErrRange):
		return usage("%s does not fit into 64 bits; write %s.0 to add it to a decimal number", delta, delta)
	case !isDecimal(delta):
		return usage("%q is not a number; write for example 5, -5 or 0.25", delta)
	default:
		sum, err = c.IncrDecimal(ctx, key, delta)
	}
	if err != nil {
		return err
	}
	return writeAll(stdout, []byte(sum+"\n"))
}

// isDecimal tells a decimal number from what ParseFloat takes as well: hexadecimal ones, infinities, underscores.
func isDecimal(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && strings.Trim(text, "0123456789.eE+-") == ""
}

func ttl(ctx context.Context, c *client.Client, args []string, stdout io.Writer) error {
	if len(args) != 1 {
		return usage("needs one key, got %d operands; write: nitrokv ttl KEY", len(args))
	}
	left, err := c.TTL(ctx, args[0])
	switch {
	case err != nil:
		return missing(args[0], err)
	case left == client.NoExpiry:
		return writeAll(stdout, []byte("none\n"))
	}
	return writeAll(stdout, []byte(left.String()+"\n"))
}

func expire(ctx context.Context, c *client.Client, args []string) error {
	if len(args) != 2 {
		return usage("needs a key and a duration, got %d operands; write: nitrokv expire KEY DURATION, or expire KEY none", len(args))
	}
	if strings.EqualFold(args[1], "none") {
		_, err := c.Persist(ctx, args[0]) // whether it did expire before makes no difference to the user
		return missing(args[0], err)
	}
	d, err := time.ParseDuration(args[1])
	switch {
	case err != nil:
		return usage("%q is not a duration; write for example 500ms, 30s or 5m, or none", args[1])
	case d <= 0:
		return usage("%s is not a time to come; \"nitrokv del KEY\" removes a key at once", args[1])
	}
	return missing(args[0], c.Expire(ctx, args[0], d))
}

// missing makes the exit status 1 of the client's word for a key that isn't there.
func missing(key string, err error) error {
	if errors.Is(err, client.ErrNotFound) {
		return fmt.Errorf("%q: %w", key, errNotFound)
	}
	return err
}
