"""The jobs, with Python's requests, as PostHog's own tutorials write them: one | gets N | persons | tls CA."""

import os
import sys

import requests

KEY = os.environ["POSTHOG_PERSONAL_API_KEY"]
PROJECT = f"{os.environ['POSTHOG_HOST']}/api/projects/{os.environ['POSTHOG_PROJECT_ID']}"


def get(url, **options):
    response = requests.get(url, headers={"Authorization": f"Bearer {KEY}"}, **options)
    response.raise_for_status()
    return response.json()


def insight(**options):
    return get(f"{PROJECT}/insights/28/", **options)["result"][0]["aggregated_value"]


job, *args = sys.argv[1:]
if job == "one":
    print(f"{insight():.1f}")
elif job == "tls":
    print(f"{insight(verify=args[0]):.1f}")
elif job == "gets":
    print(f"{sum(insight() for _ in range(int(args[0]))):.1f}")
elif job == "persons":
    count = ages = 0
    url = f"{PROJECT}/persons/?limit=1000"
    while url:
        page = get(url)
        for person in page["results"]:
            ages += person["properties"]["age"]
            count += 1
        url = page["next"]
    print(count, ages)
