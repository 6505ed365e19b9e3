package load

import (
	"math"
	"math/bits"
)

// rng is SplitMix64 (Steele, Lea, Flood 2014): one addition and one mix per number, good enough for choosing keys and
// for bytes that don't compress.
type rng struct{ state uint64 }

func (r *rng) next() uint64 {
	r.state += 0x9E3779B97F4A7C15
	return mix(r.state)
}

// mix is the finaliser of SplitMix64, a bijection in which every input bit reaches every output bit.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// below returns a number from 0 to n-1. The bias of at most n/2^64 doesn't matter here.
func (r *rng) below(n uint64) uint64 {
	hi, _ := bits.Mul64(r.next(), n)
	return hi
}

// unit returns a number from 0 up to but not including 1.
func (r *rng) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

// keyPicker chooses keys for one loop. The constants of a Zipf distribution are computed once, and copied if they change.
type keyPicker struct {
	keys         uint64
	distribution Distribution
	zipf         *zipf // shared by all loops, read only
	latest       *latest
}

func newKeyPicker(c *Config) keyPicker {
	p := keyPicker{keys: uint64(c.Keys), distribution: c.Distribution}
	switch c.Distribution {
	case Zipfian, Latest:
		p.zipf = newZipf(p.keys, c.ZipfTheta)
	case Scrambled:
		p.zipf = newZipf(scrambledRanks, c.ZipfTheta)
	}
	return p
}

// following returns a picker of another loop that follows the insertions, if that is what the distribution does.
func (p keyPicker) following(in *insertions) keyPicker {
	if p.distribution == Latest {
		p.latest = &latest{*p.zipf, in}
	}
	return p
}

func (p *keyPicker) pick(r *rng) uint64 {
	switch p.distribution {
	case Zipfian:
		return p.zipf.pick(r)
	case Scrambled:
		return scramble(p.zipf.rank(r)) % p.keys
	case Latest:
		return p.latest.pick(r)
	}
	return r.below(p.keys)
}

// scrambledRanks is how many ranks YCSB's scrambled distribution has, however many keys there are. Two ranks may fall on
// one key, and how popular the most popular keys are doesn't depend on the number of keys.
const scrambledRanks = 10_000_000_000

// scramble is YCSB's hash: FNV-1a of the eight bytes of a rank, the lowest first, and of that as a signed number the
// absolute value.
func scramble(rank uint64) uint64 {
	h := uint64(0xCBF29CE484222325)
	for range 8 {
		h = (h ^ rank&0xFF) * 0x100000001B3
		rank >>= 8
	}
	if h>>63 == 1 {
		return -h
	}
	return h
}

// zipf draws ranks with P(rank i) proportional to 1/(i+1)^theta by the method of Gray et al., "Quickly generating
// billion-record synthetic databases" (1994), then scatters them, so that popular keys aren't neighbours in order.
type zipf struct {
	n            uint64
	theta        float64
	zetaN        float64
	alpha, eta   float64
	second       float64 // u·zetaN below which the rank is 1
	scatterPrime uint64
}

func newZipf(n uint64, theta float64) *zipf {
	z := &zipf{n: n, theta: theta, zetaN: zeta(n, theta), alpha: 1 / (1 - theta), second: 1 + math.Pow(0.5, theta)}
	z.setEta()
	z.scatterPrime = 2654435761
	if n%z.scatterPrime == 0 {
		z.scatterPrime = 2654435789 // the next prime: one of the two doesn't divide n ≤ 10^12
	}
	return z
}

// setEta computes what follows from n and zetaN.
func (z *zipf) setEta() {
	if z.n > 2 {
		z.eta = (1 - math.Pow(2/float64(z.n), 1-z.theta)) / (1 - z.second/z.zetaN)
	}
}

// grow adds ranks, for rank and not for pick: which key a rank is scattered to depends on their number.
func (z *zipf) grow(n uint64) {
	if n <= z.n {
		return
	}
	for z.n < n {
		z.n++
		z.zetaN += math.Pow(float64(z.n), -z.theta)
	}
	z.setEta()
}

func (z *zipf) pick(r *rng) uint64 {
	hi, lo := bits.Mul64(z.rank(r), z.scatterPrime)
	_, key := bits.Div64(hi, lo, z.n) // hi < n, as rank < n and the prime is below 2^64
	return key
}

func (z *zipf) rank(r *rng) uint64 {
	u := r.unit()
	switch uz := u * z.zetaN; {
	case uz < 1 || z.n == 1:
		return 0
	case uz < z.second || z.n == 2:
		return 1
	}
	rank := uint64(float64(z.n) * math.Pow(z.eta*u-z.eta+1, z.alpha))
	return min(rank, z.n-1)
}

// zeta returns the sum of 1/i^theta for i = 1 to n. Beyond a million terms the rest is taken from the integral with
// the first Euler-Maclaurin correction, whose error is far below what a run could show.
func zeta(n uint64, theta float64) float64 {
	const exact = 1_000_000
	sum := 0.0
	for i := uint64(1); i <= min(n, exact); i++ {
		sum += math.Pow(float64(i), -theta)
	}
	if n > exact {
		a, b := float64(exact), float64(n)
		sum += (math.Pow(b, 1-theta)-math.Pow(a, 1-theta))/(1-theta) + (math.Pow(b, -theta)-math.Pow(a, -theta))/2
	}
	return sum
}
