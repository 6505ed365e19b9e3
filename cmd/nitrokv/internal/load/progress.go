package load

import (
	"fmt"
	"time"
)

// progress writes a line a second until the phase is done.
func (r *runner) progress(p *phase, done <-chan struct{}) {
	if r.cfg.Progress == nil {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	end := "\n"
	if r.cfg.ProgressRedraw {
		end = "\x1b[K\r"
	}
	began, last := time.Now(), int64(0)
	before := began
	for {
		select {
		case <-done:
			if r.cfg.ProgressRedraw {
				fmt.Fprint(r.cfg.Progress, "\x1b[K")
			}
			return
		case now := <-ticker.C:
			count := int64(0)
			for _, l := range r.loops {
				count += l.answered.Load()
			}
			perSecond := float64(count-last) / now.Sub(before).Seconds()
			fmt.Fprintf(r.cfg.Progress, "%-8s %4.0fs  %s  %12.0f req/s%s", p.name, now.Sub(began).Seconds(),
				p.share(count, now.Sub(began)), perSecond, end)
			last, before = count, now
		}
	}
}

// share says how much of the phase is over.
func (p *phase) share(count int64, elapsed time.Duration) string {
	if p.requests > 0 {
		return fmt.Sprintf("%5.1f %% of %d requests", 100*float64(count)/float64(p.requests), p.requests)
	}
	return fmt.Sprintf("%5.1f %% of %v", 100*min(elapsed.Seconds()/p.length.Seconds(), 1), p.length)
}
