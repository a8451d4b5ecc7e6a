#!/usr/bin/env python3
"""Reference numbers for exponential smoothing, ARIMA and theta: inputs made here, outputs of statsforecast.

    pip install statsforecast==2.1.1 numpy==2.4.6      # Python 3.11
    python tests/reference/forecast.py > tests/reference/forecast.json

statsforecast 2.1.1 (Nixtla, Apache-2.0), numpy 2.4.6. `src/forecast/members/reference.rs` compares and says which tolerance
each number has and why. The series are synthetic, rounded to three digits so that the file is what both sides see.
"""
import json
import warnings

import numpy as np
from statsforecast.models import ARIMA, AutoARIMA, AutoETS, DynamicOptimizedTheta

warnings.simplefilter("ignore")
LEADS = [1, 5, 15]


def series():
    rng = np.random.default_rng(20)
    n = 400
    e = rng.normal(size=n)
    walk = 100 + np.cumsum(0.6 * rng.normal(size=n)) + e
    line = 50 + 0.3 * np.arange(n) + 4 * e
    arma = np.zeros(n)
    for t in range(2, n):
        arma[t] = 0.9 * arma[t - 1] - 0.25 * arma[t - 2] + e[t] + 0.5 * e[t - 1]
    changes = np.zeros(n)
    for t in range(1, n):
        changes[t] = 0.6 * changes[t - 1] + e[t]
    return {"walk": walk, "line": line, "arma": 30 + 3 * arma, "turns": 200 + np.cumsum(changes)}


def at_leads(model):
    mean = model.predict(max(LEADS))["mean"]
    return [float(mean[lead - 1]) for lead in LEADS]


def ets(y, kind, damped):
    model = AutoETS(season_length=1, model=kind, damped=damped).fit(y.copy())
    par = [None if np.isnan(p) else float(p) for p in model.model_["par"][[0, 1, 3]]]
    squares = float(np.sum(np.square(model.model_["residuals"])))
    return {"parameters": par, "squares": squares, "forecast": at_leads(model)}


def arima(y, order):
    model = ARIMA(order=order, include_mean=order[1] == 0).fit(y.copy())
    coef = {k: float(v) for k, v in model.model_["coef"].items()}
    return {"order": list(order), "coefficients": coef, "variance": float(model.model_["sigma2"]), "forecast": at_leads(model)}


def auto_arima(y):
    model = AutoARIMA(season_length=1, max_p=4, max_q=3, max_d=1, allowdrift=False, approximation=False).fit(y.copy())
    p, q, *_, d, _ = model.model_["arma"]
    return {"order": [int(p), int(d), int(q)], "variance": float(model.model_["sigma2"]), "forecast": at_leads(model)}


def theta(y):
    model = DynamicOptimizedTheta(season_length=1).fit(y.copy())
    return {"alpha": float(model.model_["par"]["alpha"]), "theta": float(model.model_["par"]["theta"]), "mse": float(model.model_["mse"]), "forecast": at_leads(model)}


def main():
    out = []
    for name, y in series().items():
        y = np.round(y, 3)
        orders = {"arma": [(1, 0, 0), (2, 0, 1)], "line": [(0, 1, 1), (1, 1, 1)]}.get(name, [(0, 1, 1), (1, 1, 0)])
        out.append({
            "name": name,
            "values": y.tolist(),
            "leads": LEADS,
            "ets": {"level": ets(y, "ANN", False), "linear": ets(y, "AAN", False), "damped": ets(y, "AAN", True)},
            "arima": [arima(y, order) for order in orders],
            "auto_arima": auto_arima(y),
            "theta": theta(y),
        })
    print(json.dumps(out, indent=None, separators=(",", ":")).replace('},{"name"', '},\n{"name"'))


main()
