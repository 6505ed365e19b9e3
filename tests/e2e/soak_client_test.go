package e2e

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// A soaker is a client of the soak. Nobody else writes its keys, so it knows what they hold.
type soaker struct {
	name string
	rng  *rand.Rand
	keys [soakKeys]soaked
	done int // operations
}

// soaked is what a key holds: a value that can be made again, and when it goes.
type soaked struct {
	present bool
	write   int // the number of the operation that wrote it: no two values are the same
	bytes   int
	// The server has counted from some moment of the request on, so the key goes between these; zero: it stays.
	goesFrom, goesTo time.Time
}

func (c *soaker) key(i int) string { return fmt.Sprintf("%s:key:%d", c.name, i) }

// value is what a key holds, as far as there is room for it.
func (c *soaker) value(i int) string {
	unit := fmt.Sprintf("%s.%d.%d;", c.name, i, c.keys[i].write)
	n := c.keys[i].bytes
	return strings.Repeat(unit, n/len(unit)+1)[:n]
}

// work makes bursts until it is told to stop.
func (c *soaker) work(conn *respConn, stop <-chan struct{}) error {
	tick := time.NewTicker(soakPause)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		for range soakBurst {
			if err := c.step(conn, c.rng.IntN(soakKeys)); err != nil {
				return err
			}
			c.done++
		}
	}
}

// step does something with a key.
func (c *soaker) step(conn *respConn, i int) error {
	switch n := c.rng.IntN(100); {
	case n < 50:
		return c.set(conn, i, 0)
	case n < 65:
		return c.set(conn, i, time.Duration(1+c.rng.Int64N(int64(soakShortTTL))))
	case n < 70:
		return c.set(conn, i, time.Hour)
	case n < 75:
		return c.expire(conn, i)
	case n < 85:
		return c.del(conn, i)
	}
	return c.check(conn, i)
}

// size is between the limits, small ones as often as large ones by their number of digits.
func (c *soaker) size() int {
	return int(soakValueMin * math.Pow(float64(soakValueMax)/soakValueMin, c.rng.Float64()))
}

func (c *soaker) set(conn *respConn, i int, ttl time.Duration) error {
	k := &c.keys[i]
	*k = soaked{present: true, write: c.done, bytes: c.size()}
	args := []string{"SET", c.key(i), c.value(i)}
	if ttl > 0 {
		args = append(args, "PX", fmt.Sprint(max(ttl.Milliseconds(), 1)))
	}
	before := time.Now()
	reply, err := conn.do(args...)
	if err != nil || reply != "OK" {
		return fmt.Errorf("SET %s of %d bytes: %v, %w", c.key(i), k.bytes, reply, err)
	}
	if ttl > 0 {
		k.goes(before, ttl)
	}
	return nil
}

// goes notes that a key was given so long to live after that moment, and before now.
func (k *soaked) goes(before time.Time, ttl time.Duration) {
	k.goesFrom, k.goesTo = before.Add(ttl-soakClockSlip), time.Now().Add(ttl+soakClockSlip)
}

// expire gives a key that stays an hour, or takes the expiry of one that has it; both write the record anew.
func (c *soaker) expire(conn *respConn, i int) error {
	k := &c.keys[i]
	if !k.present || !k.goesFrom.IsZero() && time.Until(k.goesFrom) < time.Minute {
		return c.check(conn, i)
	}
	if !k.goesFrom.IsZero() {
		k.goesFrom, k.goesTo = time.Time{}, time.Time{}
		return c.one(conn, "PERSIST", c.key(i))
	}
	k.goes(time.Now(), time.Hour)
	return c.one(conn, "EXPIRE", c.key(i), "3600")
}

func (c *soaker) one(conn *respConn, args ...string) error {
	reply, err := conn.do(args...)
	if err != nil || reply != int64(1) {
		return fmt.Errorf("%q: %v, %w; want 1", args, reply, err)
	}
	return nil
}

func (c *soaker) del(conn *respConn, i int) error {
	c.keys[i] = soaked{}
	_, err := conn.do("DEL", c.key(i))
	return err
}

// check demands that a key holds what it should.
func (c *soaker) check(conn *respConn, i int) error {
	k := &c.keys[i]
	before := time.Now()
	reply, err := conn.do("GET", c.key(i))
	if err != nil {
		return fmt.Errorf("GET %s: %w", c.key(i), err)
	}
	must := k.present && (k.goesFrom.IsZero() || time.Now().Before(k.goesFrom))
	may := k.present && (k.goesTo.IsZero() || before.Before(k.goesTo))
	switch value, found := reply.(string); {
	case !found && must:
		return fmt.Errorf("GET %s: %v; the value of %d bytes of write %d is lost", c.key(i), reply, k.bytes, k.write)
	case found && (!may || value != c.value(i)):
		return fmt.Errorf("GET %s: %.60q of %d bytes; want %.60q (present: %v)", c.key(i), value, len(value), c.value(i), may)
	}
	return nil
}

// present is how many keys there are; vague: of some nobody can say at that moment.
func (c *soaker) present(now time.Time) (n int, vague bool) {
	for i := range c.keys {
		switch k := &c.keys[i]; {
		case !k.present || !k.goesTo.IsZero() && now.After(k.goesTo):
		case !k.goesFrom.IsZero() && now.After(k.goesFrom):
			vague = true
		default:
			n++
		}
	}
	return n, vague
}
