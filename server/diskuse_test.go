package server

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestDiskUseIsLookedAtNowAndThen: the longer a look takes, the longer it counts; also one that has failed.
func TestDiskUseIsLookedAtNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diskUse
		var looks uint64
		broken := errors.New("it has broken")
		look := func() (uint64, error) {
			looks++
			time.Sleep(10 * time.Millisecond)
			if looks == 2 {
				return 0, broken
			}
			return looks, nil
		}
		for _, step := range []struct {
			after time.Duration
			want  uint64
			err   error
		}{{0, 1, nil}, {0, 1, nil}, {980 * time.Millisecond, 1, nil}, {20 * time.Millisecond, 0, broken}, {500 * time.Millisecond, 0, broken},
			{500 * time.Millisecond, 3, nil}} {
			time.Sleep(step.after)
			if got, err := d.of(look); got != step.want || !errors.Is(err, step.err) {
				t.Errorf("%v later, after %d looks: %d, %v; want %d, %v", step.after, looks, got, err, step.want, step.err)
			}
		}
	})
}
