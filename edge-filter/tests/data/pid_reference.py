"""Step responses for tests/pid_reference.rs, in 40 digits: python3 pid_reference.py > pid_reference.csv

An independent evaluation of the equations in the guide of `Pid`, against first-order processes with dead time. The
derivative filter is a backward difference, the process is integrated exactly for a held input. Needs mpmath.
"""
from mpmath import mp, mpf, exp, sqrt

mp.dps = 40


def case(name, seconds, dt, process, kp, ki, kd, tf=0, beta=1, gamma=0, lo=None, hi=None, tt=None, clamp=False,
         up=None, sp=lambda t: mpf(1), mode=lambda t: ("auto", mpf(0))):
    gain, tau, delay = map(mpf, process)
    kp, ki, kd, tf, dt = map(mpf, (kp, ki, kd, tf, dt))
    late = [mpf(0)] * int(delay / dt)
    y = integral = last = mpf(0)
    seen = None          # the derivative's filtered input
    auto_before, scanned = False, False
    for n in range(int(seconds / dt)):
        t = n * dt
        r, (who, hand) = sp(t), mode(t)
        if who != "auto":
            u, auto_before = hand, False
        else:
            p, x = kp * (beta * r - y), gamma * r - y
            if not auto_before:
                d, new = mpf(0), x
            else:
                # tf*(z - seen)/dt + z = x; kd times the slope of z
                new = (tf * seen + dt * x) / (tf + dt)
                d = kd * (new - seen) / dt
            if scanned and not auto_before:
                integral = last - p - d
            grown = integral + ki * (r - y) * dt
            if clamp:
                grown = max(min(grown, max(mpf(hi), integral)), min(mpf(lo), integral))
            v = p + grown + d
            u = v if lo is None else min(max(v, mpf(lo)), mpf(hi))
            if up is not None and scanned:
                u = min(max(u, last - mpf(up) * dt), last + mpf(up) * dt)
            if tt is not None:
                grown += (u - v) * min(dt / mpf(tt), 1)
            integral, seen, auto_before = grown, new, True
        print(f"{name},{float(t)!r},{float(r)!r},{float(y)!r},{who},{float(hand)!r},{float(u)!r}")
        y = mpf(float(y))
        last, scanned = u, True
        late.append(u)
        y = y * exp(-dt / tau) + gain * late.pop(0) * (1 - exp(-dt / tau))
        # What the controller is given is what is written.
        y = mpf(float(y))


print("case,t_s,sp,pv,mode,manual,output")
slow, quick = (2, 20, 2), (1, mpf(1) / 2, 0)
case("isa_pi", 60, mpf("0.5"), slow, mpf("1.2"), mpf("1.2") / 16, 0)
case("isa_pid_filtered", 60, mpf("0.5"), slow, mpf("1.5"), mpf("1.5") / 16, mpf("1.5") * 3, tf=mpf(3) / 10)
case("two_degrees", 60, mpf("0.5"), slow, mpf("1.5"), mpf("1.5") / 16, mpf("1.5") * 3, tf=mpf(3) / 10,
     beta=mpf("0.4"), gamma=mpf("0.2"), sp=lambda t: mpf(1) if t < 30 else mpf(2))
case("back_calculation", 120, mpf("0.5"), slow, mpf(4), mpf(4) / 10, 0, lo=0, hi=1, tt=10,
     sp=lambda t: mpf("1.8") if t < 60 else mpf("0.5"))
case("clamp", 120, mpf("0.5"), slow, mpf(4), mpf(4) / 10, 0, lo=0, hi=1, clamp=True,
     sp=lambda t: mpf("1.8") if t < 60 else mpf("0.5"))
case("error_derivative", 10, mpf("0.05"), quick, mpf("0.8"), mpf("0.9"), mpf("0.05"), tf=mpf("0.1"), gamma=1,
     sp=lambda t: mpf(1) if t < 5 else mpf(-1))
case("rate_limited", 60, mpf("0.5"), slow, mpf(3), mpf(3) / 16, 0, lo=0, hi=5, tt=16, up=mpf("0.1"))
case("manual_and_back", 60, mpf("0.5"), slow, mpf("1.2"), mpf("1.2") / 16, mpf("2.4"), tf=mpf("0.2"),
     mode=lambda t: ("manual", mpf("0.7")) if t < 10 or 30 <= t < 40 else ("auto", mpf(0)))
