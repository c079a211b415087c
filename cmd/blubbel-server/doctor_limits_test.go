package main

import "testing"

func TestFiles(t *testing.T) {
	const raise = "; raise that: LimitNOFILE= in a unit of systemd, ulimit -n in a shell"
	for want, c := range map[string]capacity{
		"ok       files: X may open 10064 files, enough for 10000 connections":                                   {files: 10064},
		"ok       files: X may open 18446744073709551615 files, enough for 10000 connections":                    {files: 1<<64 - 1},
		"ok       files: X may open 164 files, enough for 100 connections":                                       {files: 164, asked: 100},
		"warning  files: X may open 1024 files, so it takes 960 connections at most, not 10000" + raise:          {files: 1024},
		"warning  files: X may open 10063 files, so it takes 9999 connections at most, not 10000" + raise:        {files: 10063},
		"warning  files: X may open 20 files, so it takes 1 connections at most, not 10000" + raise:              {files: 20},
		"wrong    files: X may open 163 files, too few for 100 connections" + raise + "; or lower --connections": {files: 163, asked: 100},
		"note     files: how many may be open is not known":                                                      {asked: 100},
	} {
		c.who = "X"
		says(t, checkFiles(c), want)
	}
}

func TestHowManyConnectionsThereMayBe(t *testing.T) {
	for c, want := range map[capacity]int{
		{}: 10000, {files: 1024}: 960, {files: 64}: 1, {files: 1 << 20}: 10000, {asked: 50000, files: 1024}: 50000, {asked: 5}: 5,
	} {
		if is := c.connections(); is != want {
			t.Errorf("%+v: %d, want %d", c, is, want)
		}
	}
}

func TestMemories(t *testing.T) {
	const gib = 1 << 30
	for want, m := range map[string]memoryLimit{
		"note     memory: how much there is is not known":                                              {},
		"ok       memory: 10000 connections may hold 2500 MiB, and the machine has 4096 MiB":           {machine: 4 * gib},
		"ok       memory: 10000 connections may hold 2500 MiB, and the machine has 16 GiB":             {machine: 16 * gib, group: 32 * gib},
		"ok       memory: 10000 connections may hold 2500 MiB, and its control group may use 4096 MiB": {machine: 16 * gib, group: 4 * gib},
		"ok       memory: 10000 connections may hold 2500 MiB, and its control group may use 5120 MiB": {group: 5 * gib},
		"warning  memory: 10000 connections may hold 2500 MiB, and the machine has 1024 MiB, so hostile clients could use it up; set --connections 3072, or a smaller --window": {
			machine: gib,
		},
		"warning  memory: 10000 connections may hold 2500 MiB, and its control group may use 512 MiB, so hostile clients could use it up; set --connections 1536, or a smaller --window": {
			machine: 16 * gib, group: gib / 2,
		},
	} {
		says(t, checkMemory(10000, 256<<10, m), want)
	}
}
