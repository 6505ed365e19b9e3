package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A console is where the server's log goes. Until it is released it keeps what is logged: if the server can't start,
// the error is the only line. On a terminal it shows a bar below the last line while data is loaded.
type console struct {
	terminal bool

	mu    sync.Mutex // guards the fields below
	w     io.Writer
	held  []byte
	open  bool
	bar   string    // what stands below the last line
	began time.Time // of loading; zero before
}

// Write writes whole log lines. The bar moves down below them.
func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		c.held = append(c.held, b...)
		return len(b), nil
	}
	if c.bar == "" {
		return c.w.Write(b)
	}
	if _, err := io.WriteString(c.w, eraseLine+string(b)+c.bar); err != nil {
		return 0, err
	}
	return len(b), nil
}

// eraseLine goes back to the beginning of the terminal's line and empties it.
const eraseLine = "\r\x1b[K"

// release writes what was kept, and everything else from now on.
func (c *console) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.w.Write(c.held)
	c.open, c.held = true, nil
	return err
}

// progress shows how much has been loaded; with done = total the bar goes away.
func (c *console) progress(done, total uint64) {
	if !c.terminal || total == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.began.IsZero() {
		c.began = time.Now()
	}
	bar := ""
	if done < total {
		bar = barText("loading", done, total, time.Since(c.began))
	}
	if bar == c.bar || !c.open {
		return
	}
	c.bar = bar
	// A terminal that can't be written shows in the next log line; a bar is no reason to stop.
	_, _ = io.WriteString(c.w, eraseLine+bar)
}

// barText is for example "loading [======>             ]  35 %, 4s left". done is below total.
func barText(verb string, done, total uint64, elapsed time.Duration) string {
	const width = 30
	share := float64(done) / float64(total)
	full := int(share * width)
	text := fmt.Sprintf("%s [%s>%s] %3d %%", verb, strings.Repeat("=", full), strings.Repeat(" ", width-1-full), int(100*share))
	if elapsed < time.Second || done == 0 {
		return text // too early to tell
	}
	left := time.Duration(float64(elapsed) * (1 - share) / share)
	return text + fmt.Sprintf(", %v left", left.Round(time.Second))
}

// sizeText is the opposite of parseSize, for people.
func sizeText(bytes uint64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%d B", bytes)
}
