"""The dashboard: pages over the model of the present, mounted beside the API.

`mount` puts them on a server. Each page is two files: `…_html` builds what is shown, from data and without a browser;
`…_page` lays it out, hears what is chosen, and pushes what changes.
"""
