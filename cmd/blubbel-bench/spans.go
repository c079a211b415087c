package main

import "slices"

// spans is a set of sequence numbers, kept as stretches without a hole, in ascending order. Whoever adds 1, 2, 3 and so on
// needs one stretch however many there are.
type spans []span

// span is the numbers from first to last, both included.
type span struct{ first, last uint64 }

// add adds n, and reports whether it was missing so far.
func (s *spans) add(n uint64) bool {
	if i := len(*s) - 1; i >= 0 && (*s)[i].last+1 == n { // as it goes nearly always
		(*s)[i].last = n
		return true
	}
	i, found := slices.BinarySearchFunc(*s, n, func(p span, n uint64) int {
		switch {
		case p.last < n:
			return -1
		case p.first > n:
			return 1
		}
		return 0
	})
	if found {
		return false
	}
	*s = slices.Insert(*s, i, span{n, n})
	s.join(i)
	s.join(i - 1)
	return true
}

// join makes one of a stretch and the next, if there is nothing in between.
func (s *spans) join(i int) {
	if i < 0 || i+1 >= len(*s) || (*s)[i].last+1 != (*s)[i+1].first {
		return
	}
	(*s)[i].last = (*s)[i+1].last
	*s = slices.Delete(*s, i+1, i+2)
}

// highest returns the highest number of the set, or 0.
func (s *spans) highest() uint64 {
	if len(*s) == 0 {
		return 0
	}
	return (*s)[len(*s)-1].last
}

// size returns how many numbers there are.
func (s *spans) size() (n uint64) {
	for _, p := range *s {
		n += p.last - p.first + 1
	}
	return n
}

// shared returns how many numbers are in both sets.
func (s *spans) shared(other spans) (n uint64) {
	i := 0
	for _, p := range *s {
		for i < len(other) && other[i].last < p.first {
			i++
		}
		for j := i; j < len(other) && other[j].first <= p.last; j++ {
			n += min(p.last, other[j].last) - max(p.first, other[j].first) + 1
		}
	}
	return n
}
