package e2e

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/nitrokv/nitrokv/client"
)

// A speaker is a client of one protocol, reduced to what the tests of lost data need. A call that returns nil was
// acknowledged; after an error a write may have happened or not. None repeats a write that may have happened.
type speaker interface {
	set(ctx context.Context, key, value string, deadline time.Time) error // the zero time: none
	mset(ctx context.Context, keys []string, value string) error
	del(ctx context.Context, keys ...string) error // no error if there was none
	expire(ctx context.Context, key string, at time.Time) error
	incr(ctx context.Context, key string) (int64, error)
	get(ctx context.Context, key string) (value string, present bool, err error)
	close() error
}

// errMissing means that a key isn't there that its only writer has set.
var errMissing = errors.New("the key is missing")

// A redisSpeaker speaks RESP through go-redis, over one connection.
type redisSpeaker struct{ c *redis.Client }

// speakRedis makes a connection on which every request has the level; empty: the server's.
func speakRedis(addr, level string) redisSpeaker {
	return redisSpeaker{redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1,
		OnConnect: func(ctx context.Context, c *redis.Conn) error {
			if level == "" {
				return nil
			}
			return c.Process(ctx, redis.NewCmd(ctx, "CLIENT", "DURABILITY", level))
		}})}
}

func (s redisSpeaker) set(ctx context.Context, key, value string, deadline time.Time) error {
	if deadline.IsZero() {
		return s.c.Do(ctx, "SET", key, value).Err()
	}
	return s.c.Do(ctx, "SET", key, value, "PXAT", deadline.UnixMilli()).Err()
}

func (s redisSpeaker) mset(ctx context.Context, keys []string, value string) error {
	args := []any{"MSET"}
	for _, k := range keys {
		args = append(args, k, value)
	}
	return s.c.Do(ctx, args...).Err()
}

func (s redisSpeaker) del(ctx context.Context, keys ...string) error {
	return s.c.Del(ctx, keys...).Err()
}

func (s redisSpeaker) expire(ctx context.Context, key string, at time.Time) error {
	found, err := s.c.PExpire(ctx, key, time.Until(at)).Result()
	if err == nil && !found {
		return fmt.Errorf("PEXPIRE %q: %w", key, errMissing)
	}
	return err
}

func (s redisSpeaker) incr(ctx context.Context, key string) (int64, error) {
	return s.c.Incr(ctx, key).Result()
}

func (s redisSpeaker) get(ctx context.Context, key string) (string, bool, error) {
	value, err := s.c.Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return "", false, nil
	}
	return value, err == nil, err
}

func (s redisSpeaker) close() error { return s.c.Close() }

// A clientSpeaker speaks the binary protocol through package client, each request with the next of its levels.
type clientSpeaker struct {
	c      *client.Client
	levels []*client.Client // views of c
	count  int
}

// allLevels are the levels of a server with a log.
var allLevels = []client.Durability{client.ServerDefault, client.Never, client.EverySec, client.Always}

func speakClient(addr string, levels ...client.Durability) (*clientSpeaker, error) {
	c, err := client.Open(addr, &client.Options{Conns: 1})
	if err != nil {
		return nil, err
	}
	s := &clientSpeaker{c: c}
	for _, level := range levels {
		s.levels = append(s.levels, c.WithDurability(level))
	}
	return s, nil
}

func (s *clientSpeaker) next() *client.Client {
	s.count++
	return s.levels[s.count%len(s.levels)]
}

func (s *clientSpeaker) set(ctx context.Context, key, value string, deadline time.Time) error {
	if deadline.IsZero() {
		return s.next().Set(ctx, key, []byte(value))
	}
	return s.next().Set(ctx, key, []byte(value), client.WithExpiry(deadline))
}

func (s *clientSpeaker) mset(ctx context.Context, keys []string, value string) error {
	var pairs []client.KV
	for _, k := range keys {
		pairs = append(pairs, client.KV{Key: k, Value: []byte(value)})
	}
	return s.next().MSet(ctx, pairs)
}

func (s *clientSpeaker) del(ctx context.Context, keys ...string) error {
	if len(keys) > 1 {
		_, err := s.next().DeleteMany(ctx, keys...)
		return err
	}
	err := s.next().Delete(ctx, keys[0])
	if errors.Is(err, client.ErrNotFound) {
		return nil
	}
	return err
}

func (s *clientSpeaker) expire(ctx context.Context, key string, at time.Time) error {
	return s.next().ExpireAt(ctx, key, at)
}

func (s *clientSpeaker) incr(ctx context.Context, key string) (int64, error) {
	return s.next().Incr(ctx, key, 1)
}

func (s *clientSpeaker) get(ctx context.Context, key string) (string, bool, error) {
	value, err := s.next().Get(ctx, key)
	if errors.Is(err, client.ErrNotFound) {
		return "", false, nil
	}
	return string(value), err == nil, err
}

func (s *clientSpeaker) close() error { return s.c.Close() }
