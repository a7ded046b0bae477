package replay

import "iter"

// maxRows is how many different rows a list of the summary has.
const maxRows = 20

// A tally counts how often each of different things happened, and lists the first of them.
type tally[T comparable] struct {
	listed []T
	times  map[T]int
	more   int // times of those that are not listed
}

func (t *tally[T]) add(what T) {
	if t.times[what] == 0 {
		if len(t.listed) == maxRows {
			t.more++
			return
		}
		t.listed = append(t.listed, what)
	}
	if t.times == nil {
		t.times = map[T]int{}
	}
	t.times[what]++
}

// all yields what is listed, with how often it happened.
func (t *tally[T]) all() iter.Seq2[T, int] {
	return func(yield func(T, int) bool) {
		for _, what := range t.listed {
			if !yield(what, t.times[what]) {
				return
			}
		}
	}
}
