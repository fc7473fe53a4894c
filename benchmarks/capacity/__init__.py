"""`./run capacity`: what would become of us at other rates, in spikes and outages, simulated from measured costs."""
